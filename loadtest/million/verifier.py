"""Reads what the verification compares: every acknowledged item, row counts, and some published images.

With access to AWS items are read from the tables: BatchGetItem reads 50 requests with their images, and does not load
the processes under test. Otherwise GetStatus reads them, which costs the server about as much as a submit.
"""

import asyncio
import hashlib
from asyncio import TaskGroup
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

import aiohttp
import grpc
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    retry_if_result,
    stop_after_attempt,
    stop_after_delay,
    wait_random_exponential,
)

from core.dynamodb import schema
from core.model.image import image_id_of
from imageservice.v1 import image_service_pb2 as pb
from imageservice.v1 import image_service_pb2_grpc as pb_grpc
from loadtest.driver.progress_bar import ProgressBar
from loadtest.million.aws import AWS_ERRORS, AwsAccess
from loadtest.million.items import Items
from loadtest.million.ledger import COMPLETED, FAILED
from loadtest.million.verification import RowCounts, StoredImage, StoredRequest, Verification

BATCH_REQUESTS = 50
"""Requests per BatchGetItem: two keys each, and a call takes 100 keys."""
MAX_BATCH_READS = 8
MAX_STATUS_READS = 64
CALL_TIMEOUT_S = 30.0
RETRY_S, MAX_RETRY_S = 0.5, 10.0
FETCH_ATTEMPTS = 3
"""Attempts before a published image counts as wrong."""
FETCH_TIMEOUT_S = 15.0
FETCHED = 5_000
"""Approximate number of fetched images; a short run fetches all. A fetch costs the store as much as an upload."""

_RANGE = 2**32
_MULTIPLIER = 2_654_435_769
"""D. Knuth's multiplicative hash (The Art of Computer Programming, vol. 3, section 6.4). It samples evenly over the
numbers and over their remainders, which determine bodies, formats and hosts."""

_WAIT = wait_random_exponential(multiplier=RETRY_S, max=MAX_RETRY_S)


class Lookup(Protocol):
    batch_size: int
    """Items per `find`."""
    concurrency: int

    async def find(self, numbers: Sequence[int]) -> dict[int, StoredRequest]:
        """Return the stored requests by item number; absent items are omitted."""


class TableLookup:
    batch_size, concurrency = BATCH_REQUESTS, MAX_BATCH_READS

    def __init__(self, aws: AwsAccess, items: Items) -> None:
        self._aws = aws
        self._items = items

    async def find(self, numbers: Sequence[int]) -> dict[int, StoredRequest]:
        """As Lookup, with consistent reads."""
        ids = {number: self._items.request_id(number) for number in numbers}
        requests, images = await self._read(
            {
                self._aws.requests_table: _keys(
                    schema.REQUEST_ID, list(ids.values()), (schema.STATUS, schema.REVISION)
                ),
                self._aws.images_table: _keys(
                    schema.IMAGE_ID,
                    [image_id_of(one) for one in ids.values()],
                    (schema.S3_URL, schema.METADATA),
                ),
            }
        )
        rows = {row[schema.REQUEST_ID]["S"]: row for row in requests}
        stored = {row[schema.IMAGE_ID]["S"]: self._stored(row) for row in images}
        return {
            number: StoredRequest(
                state=rows[request_id][schema.STATUS]["S"],
                revision=int(rows[request_id][schema.REVISION]["N"]),
                image=stored.get(image_id_of(request_id)),
            )
            for number, request_id in ids.items()
            if request_id in rows
        }

    def _stored(self, row: dict[str, Any]) -> StoredImage:
        base = self._aws.public_base_url
        key = row[schema.S3_URL]["S"].removeprefix("s3://").split("/", 1)[1]
        return StoredImage(base and base + key, row[schema.METADATA]["M"]["sha256"]["S"])

    async def _read(self, tables: dict[str, Any]) -> tuple[list[Any], list[Any]]:
        found: dict[str, list[Any]] = {name: [] for name in tables}
        remaining: Any = tables
        while remaining:
            response = await self._aws.clients.http.dynamodb.invoke(
                "BatchGetItem", {"RequestItems": remaining}
            )
            for name, rows in response["Responses"].items():
                found[name] += rows
            remaining = response.get("UnprocessedKeys")
            if remaining:
                await asyncio.sleep(RETRY_S)
        return found[self._aws.requests_table], found[self._aws.images_table]


def _keys(key: str, ids: Sequence[str], others: Sequence[str]) -> dict[str, Any]:
    names = {f"#{at}": name for at, name in enumerate((key, *others))}
    return {
        "ConsistentRead": True,
        "Keys": [{key: {"S": one}} for one in ids],
        "ProjectionExpression": ", ".join(names),
        "ExpressionAttributeNames": names,
    }


class StatusLookup:
    batch_size, concurrency = 1, MAX_STATUS_READS

    def __init__(self, stub: "pb_grpc.ImageServiceAsyncStub", items: Items) -> None:
        self._stub = stub
        self._items = items

    async def find(self, numbers: Sequence[int]) -> dict[int, StoredRequest]:
        """As Lookup."""
        found = {}
        for number in numbers:
            try:
                response = await self._stub.GetStatus(
                    pb.GetStatusRequest(request_id=self._items.request_id(number)),
                    timeout=CALL_TIMEOUT_S,
                    wait_for_ready=True,
                )
            except grpc.aio.AioRpcError as error:
                if error.code() is grpc.StatusCode.NOT_FOUND:
                    continue
                raise
            found[number] = from_proto(response.request)
        return found


def from_proto(request: pb.ImageRequest) -> StoredRequest:
    states = {pb.STATE_COMPLETED: COMPLETED, pb.STATE_FAILED: FAILED}
    state = states.get(request.state, pb.State.Name(request.state).removeprefix("STATE_"))
    image = None
    if request.HasField("image"):
        image = StoredImage(request.image.public_url, request.image.metadata.sha256)
    return StoredRequest(state, request.revision, image)


def chunks(numbers: Iterator[int], size: int) -> Iterator[list[int]]:
    while chunk := list(islice(numbers, size)):
        yield chunk


def is_fetched(number: int, total: int) -> bool:
    """Return whether the published image of item `number` is fetched."""
    return number * _MULTIPLIER % _RANGE * total < FETCHED * _RANGE


async def published_fault(session: aiohttp.ClientSession, image: StoredImage) -> str | None:
    """Fetch a published image and return what is wrong with it; None if the URL returns the stored bytes."""
    try:
        async with session.get(image.public_url) as response:
            body = await response.read()
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        return f"{image.public_url} cannot be fetched: {type(error).__name__}: {error}"
    if response.status != 200:  # noqa: PLR2004  HTTP status
        return f"{image.public_url} returns {response.status}"
    if hashlib.sha256(body).hexdigest() != image.sha256:
        return f"{image.public_url} does not return the stored bytes"
    return None


@dataclass(frozen=True, slots=True)
class Verifier:
    verification: Verification
    lookup: Lookup
    aws: AwsAccess | None
    progress_timeout: float
    """Seconds for which a failing read is repeated."""
    bar: ProgressBar

    async def rows(self) -> RowCounts | None:
        """Count the rows of the tables; None if the count would not be exact."""
        if self.aws is None or not self.aws.counts_rows:
            return None
        tables = (self.aws.requests_table, self.aws.images_table)
        counts = [
            (await self.aws.clients.dynamodb.describe_table(TableName=name))["Table"]["ItemCount"]
            for name in tables
        ]
        return RowCounts(*counts)

    async def verify(self, before: RowCounts | None) -> None:
        """Check everything. `before` holds the row counts before the run.

        Raises the error of the last read if reads fail for longer than `progress_timeout`.
        """
        ledger = self.verification.ledger
        self.bar.begin("looked up", ledger.acknowledged)
        waiting = chunks(ledger.all_acknowledged(), self.lookup.batch_size)
        timeout = aiohttp.ClientTimeout(FETCH_TIMEOUT_S)
        async with aiohttp.ClientSession(timeout=timeout) as session, TaskGroup() as group:
            for _ in range(self.lookup.concurrency):
                group.create_task(self._check(waiting, session))
        after = await self.rows()
        added = None
        if before is not None and after is not None:
            added = RowCounts(after.requests - before.requests, after.images - before.images)
        self.verification.finish(added)

    async def _check(self, waiting: Iterator[list[int]], session: aiohttp.ClientSession) -> None:
        for chunk in waiting:
            found: dict[int, StoredRequest] = await self._retrying()(self.lookup.find, chunk)
            for number in chunk:
                self.verification.check(number, found.get(number))
                await self._fetch(number, found.get(number), session)
            self.bar.show(self.verification.states.total())

    def _retrying(self) -> AsyncRetrying:
        return AsyncRetrying(
            retry=retry_if_exception_type((grpc.aio.AioRpcError, *AWS_ERRORS)),
            stop=stop_after_delay(self.progress_timeout),
            wait=_WAIT,
            reraise=True,
        )

    async def _fetch(
        self, number: int, stored: StoredRequest | None, session: aiohttp.ClientSession
    ) -> None:
        if stored is None or stored.image is None or not stored.image.public_url:
            return
        if is_fetched(number, self.verification.items.total):
            fetching = AsyncRetrying(
                retry=retry_if_result(lambda fault: fault is not None),
                stop=stop_after_attempt(FETCH_ATTEMPTS),
                wait=_WAIT,
                retry_error_callback=_last_fault,
            )
            fault: str | None = await fetching(published_fault, session, stored.image)
            self.verification.add_fetch(number, fault)


def _last_fault(state: RetryCallState) -> str | None:
    fault: str | None = state.outcome.result() if state.outcome is not None else None
    return fault
