"""The pipeline of one image: fetch → inspect → store → record (the image, then its renditions) → complete.

The message handler notifies the customer and acknowledges the message afterwards, as it does for failures.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from consumer.fetching.fetcher import Fetcher, FetchResult
from consumer.fetching.hop_headers import Validator
from consumer.imaging.result import InspectionResult
from consumer.metrics import BYTES_IN, BYTES_OUT, FETCH_FAILURES
from consumer.notify.outcome import Outcome, outcome_for
from consumer.run import Run
from consumer.sandbox.decode_pool import Isolation
from consumer.worker.decoder import Decoder
from consumer.worker.renditions import RenditionPublisher
from consumer.worker.retry_policy import RetryPolicy, backoff, is_expired
from consumer.worker.reuse import ImageReuse, Reusable
from consumer.worker.storage import ImageStorage
from core.dynamodb.tables import ConditionNotMet, Tables
from core.errors import Expired, ImageFailure, ImageServiceError
from core.model.image import (
    ImageMetadata,
    ImageRecord,
    Provenance,
    image_id_of,
    is_image_of,
    reused_image_id,
)
from core.model.message import ImageMessage
from core.model.rendition import Rendition, split_names
from core.model.request import ImageRequest, MessageStatus, message_status
from core.runtime.clock import now_ms
from core.runtime.metrics import counter


async def insert_image_once(tables: Tables, record: ImageRecord) -> ImageRecord:
    """Insert an image's record and return it, or return the record that another run of the request inserted.

    Raises ConditionNotMet if the request's row is gone or another customer's. Raises Overloaded, DependencyUnavailable
    or RequestRejected.
    """
    try:
        await tables.write(tables.statements.insert_image(record))
    except ConditionNotMet:
        return await _resolve_conflict(tables, record)
    return record


async def _resolve_conflict(tables: Tables, record: ImageRecord) -> ImageRecord:
    """Return this request's existing record. If the existing one is an earlier request's, insert ours beside it."""
    first, request = await asyncio.gather(
        tables.read_image_by_id(record.image_id), tables.read_request(record.request_id)
    )
    if request is None or request.customer_id != record.customer_id:
        raise ConditionNotMet("the message has outlived its request")
    if first is not None and is_image_of(first, request):
        return first
    own = replace(
        record,
        image_id=reused_image_id(request.request_id, request.created_at),
        request_created_at=request.created_at,
    )
    try:
        await tables.write(tables.statements.insert_image(own))
    except ConditionNotMet:
        return await tables.read_image_by_id(own.image_id) or own
    return own


@dataclass(frozen=True, slots=True)
class _Stored:
    """An image in S3 that has no record yet.

    renditions: None if they are made from the stored object. fetched_at: when the origin was asked, in milliseconds
    since the epoch.
    """

    s3_url: str
    metadata: ImageMetadata
    provenance: Provenance
    renditions: tuple[Rendition, ...] | None
    fetched_at: int

    def record(self, message: ImageMessage, request_created_at: int) -> ImageRecord:
        return ImageRecord(
            image_id=image_id_of(message.request_id),
            request_id=message.request_id,
            customer_id=message.customer_id,
            s3_url=self.s3_url,
            created_at=now_ms(),
            metadata=self.metadata,
            provenance=self.provenance,
            request_created_at=request_created_at,
        )


def _stored_before(reusable: Reusable, fetched_at: int) -> _Stored:
    image = reusable.image
    return _Stored(image.s3_url, image.metadata, image.provenance, None, fetched_at)


class Pipeline:
    def __init__(
        self,
        *,
        fetcher: Fetcher,
        decoder: Decoder,
        storage: ImageStorage,
        renditions: RenditionPublisher,
        reuse: ImageReuse,
        tables: Tables,
        retry_policy: RetryPolicy,
    ) -> None:
        self._fetcher = fetcher
        self._decoder = decoder
        self._storage = storage
        self._renditions = renditions
        self._reuse = reuse
        self._tables = tables
        self._retry_policy = retry_policy

    async def run(
        self,
        message: ImageMessage,
        run: Run,
        request: ImageRequest | None = None,
        isolation: Isolation | None = None,
    ) -> Outcome:
        """Run every step, in order, and measure them in `run`. `request` is the message's row, if it was read.

        isolation: for an image that may end this process.

        Raises ImageFailure; HostBusy if the origin's host is busy with our own requests, and DecodersBusy if expensive
        images keep the decoders busy, which are no attempts; ConditionNotMet if the request is no longer PENDING at the
        message's revision; Overloaded, DependencyUnavailable or RequestRejected.
        """
        if message.expensive:
            await self._decoder.wait_for_turn(message.customer_id)
        message = message.restored(request)
        requested = split_names(message.renditions)
        stored = await self._obtain(message, requested, run, isolation)
        created_at = request.created_at if request else message.created_at
        record = stored.record(message, created_at or await self._read_created_at(message))
        inserted = await self._insert(record, run)
        renditions = stored.renditions
        if renditions is not None and inserted.metadata.sha256 == stored.metadata.sha256:
            await self._renditions.record(inserted.image_id, renditions)
        else:  # Not fetched; or another run has inserted the record, and its origin sent another body.
            renditions = await self._renditions.complete(
                inserted, requested, expensive=message.expensive, isolation=isolation
            )
        if message.reuse_within:
            # Before the end, so that a caller who has seen it can rely on the record.
            await self._reuse.record(message, inserted.image_id, stored.fetched_at)
        return await self._complete(message, inserted, renditions, run)

    async def resume(
        self,
        message: ImageMessage,
        request: ImageRequest,
        record: ImageRecord,
        run: Run,
        isolation: Isolation | None = None,
    ) -> Outcome:
        """Complete a request whose record an earlier run has inserted.

        Raises DecodersBusy and ConditionNotMet as `run`.
        """
        renditions = await self._renditions.complete(
            record, request.renditions, expensive=message.expensive, isolation=isolation
        )
        return await self._complete(message, record, renditions, run)

    async def _obtain(
        self,
        message: ImageMessage,
        requested: Sequence[str],
        run: Run,
        isolation: Isolation | None,
    ) -> _Stored:
        """Return the image of an earlier fetch, if it may be reused, or else fetch and store one."""
        reusable = None
        if within := message.reuse_within:
            with run.step("reuse"):
                reusable = await self._reuse.find(message)
        if reusable is not None and reusable.fetch.is_fresh(within, now_ms()):
            return _stored_before(reusable, reusable.fetch.fetched_at)
        try:
            return await self._fetch_and_store(message, requested, run, isolation, reusable)
        except ImageServiceError as error:
            error.forget_frames()  # They hold the bodies.
            raise

    async def _fetch_and_store(
        self,
        message: ImageMessage,
        requested: Sequence[str],
        run: Run,
        isolation: Isolation | None,
        reusable: Reusable | None,
    ) -> _Stored:
        """Hold the bodies no longer than until they are stored: then their bytes are reserved for others."""
        fetched_at = now_ms()
        with await self._fetch(message, run, reusable) as fetched:
            if reusable is not None and not fetched.modified:
                return _stored_before(reusable, fetched_at)
            names = self._renditions.wanted(fetched.body, requested)
            with self._renditions.reserve(names) as memory:
                with run.step("inspect"):
                    inspected = await self._decoder.inspect(
                        fetched.body,
                        message.request_id,
                        names,
                        memory,
                        isolation,
                        customer_id=message.customer_id,
                    )
                fetched.forget_body()
                memory.shrink(inspected.rendition_bytes)
                s3_url, renditions = await self._store(
                    message.customer_id, inspected, requested, run
                )
        return _Stored(s3_url, inspected.metadata, fetched.provenance, renditions, fetched_at)

    async def _fetch(
        self, message: ImageMessage, run: Run, reusable: Reusable | None
    ) -> FetchResult:
        validator = None if reusable is None else reusable.validator(message.url)
        with run.step("fetch"):
            fetched = await self._attempt(message, run, validator)
        BYTES_IN.inc(len(fetched.body))
        return fetched

    async def _attempt(
        self, message: ImageMessage, run: Run, validator: Validator | None
    ) -> FetchResult:
        """Return the first successful attempt. Count each in `run`. Raises ImageFailure and HostBusy.

        Without tenacity: its retry state refers to itself. So it would keep the last error, and with the error's frames
        what had been read of the body, until the garbage collector finds the cycle (measured: one body per failed
        request). The byte budget would not count that memory.
        """
        while True:
            if message.not_after and is_expired(message.not_after, now_ms()):
                raise Expired
            try:
                fetched = await self._fetcher.fetch(message.url, message.customer_id, validator)
            except ImageFailure as failure:
                failure.forget_frames()  # They hold what was read of the body.
                run.attempts += 1
                run.operator_detail = failure.operator_detail
                counter(FETCH_FAILURES, failure.code).inc()
                if not self._retry_policy.retry_here(failure, attempts=run.attempts):
                    raise
                wait = backoff(run.attempts - message.attempts, retry_after=failure.retry_after)
            else:
                run.attempts += 1
                return fetched
            await asyncio.sleep(wait)

    async def _store(
        self, customer_id: str, image: InspectionResult, requested: Sequence[str], run: Run
    ) -> tuple[str, tuple[Rendition, ...]]:
        with run.step("store"):
            renditions = await self._renditions.store(customer_id, requested, image.renditions)
            s3_url = await self._storage.store(
                image.body,
                customer_id=customer_id,
                sha256=image.metadata.sha256,
                extension=image.extension,
                media_type=image.metadata.media_type,
            )
        BYTES_OUT.inc(image.metadata.bytes)
        return s3_url, renditions

    async def _read_created_at(self, message: ImageMessage) -> int:
        """Return the time that a message of an earlier version lacks. Raises ConditionNotMet as `complete` does."""
        request = await self._tables.read_request(message.request_id)
        if request is None or request.customer_id != message.customer_id:
            raise ConditionNotMet("the message has outlived its request")
        if message_status(request, message.revision) is not MessageStatus.OPEN:
            raise ConditionNotMet("the request is no longer open")
        return request.created_at

    async def _insert(self, record: ImageRecord, run: Run) -> ImageRecord:
        with run.step("record"):
            return await insert_image_once(self._tables, record)

    async def _complete(
        self,
        message: ImageMessage,
        record: ImageRecord,
        renditions: tuple[Rendition, ...],
        run: Run,
    ) -> Outcome:
        """End the request as COMPLETED with `record`. Raises ConditionNotMet if it is no longer open."""
        statement = self._tables.statements.complete(
            message.request_id,
            message.revision,
            customer_id=message.customer_id,
            image_id=record.image_id,
            now=now_ms(),
        )
        with run.step("complete"):
            await self._tables.write(statement)
        return outcome_for(message, image=record, renditions=renditions)
