"""Publishes the renditions of images: stores their objects, then adds them to the image's row of renditions."""

import asyncio
from collections.abc import Callable, Sequence
from hashlib import sha256

import structlog

from consumer.byte_budget import ByteBudget, Reservation
from consumer.imaging.formats import sniff
from consumer.imaging.result import (
    RENDITIONS_BYTES_MAX,
    FailedRendition,
    MadeRendition,
    RenditionResult,
)
from consumer.metrics import RENDITIONS
from consumer.sandbox.decode_pool import DecoderFault, Isolation
from consumer.worker.decoder import Decoder
from consumer.worker.storage import ImageStorage
from core.dynamodb.tables import Tables
from core.errors import ImageFailure, ImageServiceError, Internal
from core.model.image import ImageRecord
from core.model.rendition import Presets, Rendition, failed_rendition, wanted_renditions
from core.runtime.metrics import counter

_log = structlog.get_logger()


class RenditionPublisher:
    """`presets` are those of this installation. `budget` limits the bytes of renditions that are not stored yet.

    reserve_body: reserves memory for a customer's body of this size, in bytes. It is reserved before that of the
    renditions, so no two images wait for each other.
    """

    def __init__(
        self,
        *,
        presets: Presets,
        decoder: Decoder,
        storage: ImageStorage,
        tables: Tables,
        budget: ByteBudget,
        reserve_body: Callable[[int, str], Reservation],
    ) -> None:
        self._presets = presets
        self._decoder = decoder
        self._storage = storage
        self._tables = tables
        self._budget = budget
        self._reserve_body = reserve_body
        self._has_defaults = any(preset.default_for for preset in presets.values())

    def wanted(self, body: bytes, requested: Sequence[str]) -> tuple[str, ...]:
        """Return the presets to make of a body: the requested ones that are known, and the defaults of its format."""
        if not self._presets:
            return ()
        image_format = _format_of(body) if self._has_defaults else ""
        return wanted_renditions(self._presets, requested, image_format)

    def reserve(self, names: Sequence[str]) -> Reservation:
        """Return a reservation of the memory that these renditions may take. Their decoder takes it.

        The caller shrinks it to their real size.
        """
        return self._budget.reserve(RENDITIONS_BYTES_MAX if names else 0)

    async def store(
        self, customer_id: str, requested: Sequence[str], results: Sequence[RenditionResult]
    ) -> tuple[Rendition, ...]:
        """Store the objects, and return the renditions to record. `requested` are the presets that the submit named.

        Raises DependencyUnavailable or RequestRejected.
        """
        if not results and not requested:
            return ()
        stored = await asyncio.gather(*(self._store(customer_id, result) for result in results))
        unknown = (name for name in requested if name not in self._presets)
        return (*stored, *(_unknown_preset(name) for name in unknown))

    async def record(self, image_id: str, renditions: Sequence[Rendition]) -> None:
        """Add renditions to the row of their image. Raises DependencyUnavailable or RequestRejected."""
        if not renditions:
            return
        await self._tables.add_renditions(image_id, renditions)
        for each in renditions:
            counter(RENDITIONS, each.failure_code or "made").inc()

    async def complete(
        self,
        image: ImageRecord,
        requested: Sequence[str],
        *,
        again: bool = False,
        expensive: bool = False,
        isolation: Isolation | None = None,
    ) -> tuple[Rendition, ...]:
        """Make the wanted renditions that an image lacks, from its stored object. Return all wanted ones.

        requested: as in `store`; the defaults of the image's format are added. again: also make those that failed, and
        those whose preset has changed since. expensive: an earlier run found that decoding the image is expensive, so
        a decoder is awaited before the object is loaded. isolation: for an image that may end this process.
        Raises DecodersBusy, DependencyUnavailable, Overloaded or RequestRejected.
        """
        wanted = {*requested, *wanted_renditions(self._presets, requested, image.metadata.format)}
        if not wanted:
            return ()
        existing = await self._tables.read_renditions(image.image_id)
        current = {each.preset: each for each in existing if each.preset in wanted}
        outdated = {
            name
            for name, each in current.items()
            if again and each.is_outdated(self._presets.get(name))
        }
        if missing := sorted(wanted - (current.keys() - outdated)):
            made = await self._make(image, missing, isolation, expensive=expensive)
            await self.record(image.image_id, made)
            current |= {each.preset: each for each in made if not each.failed}
            current = {each.preset: each for each in made} | current  # as `record` does
        return tuple(current[name] for name in sorted(current))

    async def _make(
        self,
        image: ImageRecord,
        names: Sequence[str],
        isolation: Isolation | None,
        *,
        expensive: bool,
    ) -> tuple[Rendition, ...]:
        known = [name for name in names if name in self._presets]
        if not known:
            return await self.store(image.customer_id, names, ())
        if expensive:
            await self._decoder.wait_for_turn(image.customer_id)
        async with self._reserve_body(image.metadata.bytes, image.customer_id):
            try:
                return await self._decode(image, names, known, isolation)
            except ImageServiceError as error:
                error.forget_frames()  # They hold the body.
                raise

    async def _decode(
        self,
        image: ImageRecord,
        names: Sequence[str],
        known: Sequence[str],
        isolation: Isolation | None,
    ) -> tuple[Rendition, ...]:
        with self.reserve(known) as memory:
            body = await self._storage.load(image)
            if body is None:
                _log.error("stored object of an image is missing", image_id=image.image_id)
                return tuple(failed_rendition(name, Internal()) for name in names)
            try:
                inspected = await self._decoder.inspect(
                    body, image.request_id, known, memory, isolation, customer_id=image.customer_id
                )
            except ImageFailure as failure:
                return tuple(failed_rendition(name, failure) for name in names)
            except DecoderFault:
                # A rendition fails nothing else, and the decoder has logged its error.
                return tuple(failed_rendition(name, Internal()) for name in names)
            memory.shrink(inspected.rendition_bytes)
            return await self.store(image.customer_id, names, inspected.renditions)

    async def _store(self, customer_id: str, result: RenditionResult) -> Rendition:
        preset = self._presets[result.preset]
        match result:
            case FailedRendition(name, code, message):
                _log.warning("rendition failed", preset=name, failure_code=code)
                return Rendition(
                    name, preset.definition, failure_code=code, failure_message=message
                )
            case MadeRendition(name, body, width, height):
                digest = sha256(body).hexdigest()
                return Rendition(
                    preset=name,
                    definition=preset.definition,
                    s3_url=await self._storage.store(
                        body,
                        customer_id=customer_id,
                        sha256=digest,
                        extension=preset.extension,
                        media_type=preset.media_type,
                    ),
                    media_type=preset.media_type,
                    width=width,
                    height=height,
                    bytes=len(body),
                    sha256=digest,
                )


def _format_of(body: bytes) -> str:
    """Return the name of a body's format; empty if it is not accepted, which a decoder reports."""
    try:
        return sniff(body).name
    except ImageFailure:
        return ""


def _unknown_preset(name: str) -> Rendition:
    """Return the failure of a preset that servers know and this process does not: their files differ."""
    _log.error("unknown preset of renditions", preset=name)
    return failed_rendition(name, Internal("the preset is not configured"))
