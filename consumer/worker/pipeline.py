"""From a message to a published image: fetch → inspect → store → record → complete.

Telling the customer and deleting the message follow in the worker, which does the same for failures. Each step takes
the frozen result of the one before.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace

from consumer.fetching.fetcher import Fetcher, FetchResult
from consumer.fetching.host_limiter import HostBusy
from consumer.imaging import InspectionResult
from consumer.metrics import BYTES_IN, BYTES_OUT, fetch_failed, observe_end, observe_step
from consumer.notify.outcome import Outcome, outcome_for
from consumer.worker.decode_pool import Decoder
from consumer.worker.retry_policy import RetryPolicy, backoff
from consumer.worker.storage import ImageStorage
from core.dynamodb.tables import ConditionNotMet, Tables
from core.errors import ImageFailure, ImageServiceError
from core.model.image import ImageRecord, Provenance
from core.model.message import ImageMessage
from core.model.request import State, image_id_of, reused_image_id
from core.runtime.clock import now_ms

# Writing an image's record: once, and never over that of an earlier request which had the same id.


async def record_image(tables: Tables, record: ImageRecord) -> ImageRecord:
    """The record that is there in the end; whoever comes second adopts what is there.

    Raises ConditionNotMet where the request's row is gone or another customer's, and DependencyUnavailable.
    """
    try:
        await tables.write(tables.statements.insert_image(record))
    except ConditionNotMet:
        return await _second(tables, record)
    return record


async def _second(tables: Tables, record: ImageRecord) -> ImageRecord:
    """Adopt what another run of the same request has recorded; what an earlier request left stays, beside ours."""
    first, request = await asyncio.gather(
        tables.read_image_by_id(record.image_id), tables.read_request(record.request_id)
    )
    if request is None or request.customer_id != record.customer_id:
        raise ConditionNotMet("the message has outlived its request")
    if first is not None and first.belongs_to(request.customer_id, request.created_at):
        return first
    own = replace(record, image_id=reused_image_id(request.request_id, request.created_at))
    try:
        await tables.write(tables.statements.insert_image(own))
    except ConditionNotMet:
        return await tables.read_image_by_id(own.image_id) or own
    return own


class RunFailed(ImageServiceError):
    """A failure of the image or its origin; `attempts` counts all that were made for this request."""

    def __init__(self, failure: ImageFailure, attempts: int) -> None:
        super().__init__(str(failure))
        self.failure = failure
        self.attempts = attempts


class RunDeferred(ImageServiceError):
    """The origin's host is busy with our own requests; `attempts` counts those made before for this request.

    `retry_after` is in seconds.
    """

    def __init__(self, retry_after: float, attempts: int) -> None:
        super().__init__("put off until the host is less busy")
        self.retry_after = retry_after
        self.attempts = attempts


@dataclass(frozen=True, slots=True)
class FetchedImage:
    message: ImageMessage
    fetched: FetchResult
    attempts: int


@dataclass(frozen=True, slots=True)
class InspectedImage:
    message: ImageMessage
    inspected: InspectionResult
    provenance: Provenance


@dataclass(frozen=True, slots=True)
class StoredImage:
    message: ImageMessage
    inspected: InspectionResult
    provenance: Provenance
    s3_url: str


class Pipeline:
    def __init__(
        self,
        *,
        fetcher: Fetcher,
        decoder: Decoder,
        bucket: ImageStorage,
        tables: Tables,
        retries: RetryPolicy,
    ) -> None:
        self._fetcher = fetcher
        self._decoder = decoder
        self._bucket = bucket
        self._tables = tables
        self._retries = retries

    async def run(self, message: ImageMessage) -> Outcome:
        """Every step, in order.

        Raises RunFailed; RunDeferred; ConditionNotMet where the request is no longer as the message says; and
        DependencyUnavailable.
        """
        async with self._fetch(message) as fetched:
            inspected = await self._inspect(fetched)
            stored = await self._store(inspected)
        record = await self._record(stored)
        return await self.complete(message, record)

    @asynccontextmanager
    async def _fetch(self, message: ImageMessage) -> AsyncIterator[FetchedImage]:
        """Hold the body, and the memory reserved for it, while the caller needs it."""
        started = time.perf_counter()
        async with AsyncExitStack() as held:
            fetched, attempts = await self._attempt(message, held)
            observe_step("fetch", started)
            BYTES_IN.inc(len(fetched.body))
            yield FetchedImage(message, fetched, attempts)

    async def _attempt(
        self, message: ImageMessage, held: AsyncExitStack
    ) -> tuple[FetchResult, int]:
        """Return the first successful attempt and the number of attempts made. Raises RunFailed and RunDeferred.

        Without tenacity: its retry state refers to itself. So it would keep the last error, and with the error's frames
        what had been read of the body, until the garbage collector finds the cycle (measured: one body per failed
        request). The byte budget would not count that memory.
        """
        attempts = message.attempts
        while True:
            try:
                fetched = await held.enter_async_context(self._fetcher.fetch(message.url))
            except HostBusy as busy:
                raise RunDeferred(busy.retry_after, attempts) from busy
            except ImageFailure as failure:
                attempts += 1
                fetch_failed(failure.code).inc()
                if not self._retries.retry_here(failure, attempts=attempts):
                    raise RunFailed(failure, attempts) from failure
                wait = backoff(attempts - message.attempts, asked=failure.retry_after)
            else:
                return fetched, attempts + 1
            await asyncio.sleep(wait)

    async def _inspect(self, image: FetchedImage) -> InspectedImage:
        started = time.perf_counter()
        try:
            inspected = await self._decoder.inspect(image.fetched.body)
        except ImageFailure as failure:
            raise RunFailed(failure, image.attempts) from failure
        observe_step("inspect", started)
        return InspectedImage(image.message, inspected, _provenance(image.fetched))

    async def _store(self, image: InspectedImage) -> StoredImage:
        started = time.perf_counter()
        metadata = image.inspected.metadata
        s3_url = await self._bucket.store(
            image.inspected.body,
            customer_id=image.message.customer_id,
            sha256=metadata.sha256,
            extension=image.inspected.extension,
            media_type=metadata.media_type,
        )
        observe_step("store", started)
        BYTES_OUT.inc(metadata.bytes)
        return StoredImage(image.message, image.inspected, image.provenance, s3_url)

    async def _record(self, image: StoredImage) -> ImageRecord:
        """Write the image's record once; whoever comes second adopts what is there."""
        started = time.perf_counter()
        message = image.message
        record = ImageRecord(
            image_id=image_id_of(message.request_id),
            request_id=message.request_id,
            customer_id=message.customer_id,
            s3_url=image.s3_url,
            created_at=now_ms(),
            picture=image.inspected.metadata,
            provenance=image.provenance,
        )
        record = await record_image(self._tables, record)
        observe_step("record", started)
        return record

    async def complete(self, message: ImageMessage, record: ImageRecord) -> Outcome:
        """End the request with `record`. Raises ConditionNotMet where it is no longer open."""
        started, now = time.perf_counter(), now_ms()
        await self._tables.write(
            self._tables.statements.complete(
                message.request_id,
                message.revision,
                customer_id=message.customer_id,
                image_id=record.image_id,
                now=now,
            )
        )
        observe_end(State.COMPLETED, pending_since=message.pending_since, now=now)
        observe_step("complete", started)
        return outcome_for(message, image=record)


def _provenance(fetched: FetchResult) -> Provenance:
    return Provenance(
        final_url=fetched.final_url,
        redirects=fetched.redirects,
        etag=fetched.etag,
        last_modified=fetched.last_modified,
        declared_media_type=fetched.declared_media_type,
    )
