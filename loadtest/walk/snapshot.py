"""The known state of requests before their lists are read. GetStatus reads it, which uses no list."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from imageservice.v1 import image_service_pb2 as pb
from imageservice.v1 import image_service_pb2_grpc as pb_grpc
from loadtest.walk.items import WalkItems
from loadtest.walk.lists import IMAGES, SEARCHES, ListQuery
from loadtest.walk.retry import CALL_TIMEOUT_S, with_retries

CONCURRENCY = 32
POLL_S = 0.2

TERMINAL = (pb.STATE_COMPLETED, pb.STATE_FAILED)


class Entry(NamedTuple):
    """A request as GetStatus, a list or a search returns it. Times are milliseconds since the epoch."""

    request_id: str
    customer: str
    state: "pb.State.ValueType"
    created: int
    updated: int
    format: str = ""
    """The format of its image; empty without an image."""

    def belongs_to(self, query: ListQuery) -> bool:
        """Return whether the list must contain this entry."""
        if query.kind in {IMAGES, *SEARCHES}:
            return self.state == pb.STATE_COMPLETED and query.format in {"", self.format}
        if query.state not in {pb.STATE_UNSPECIFIED, self.state}:
            return False
        after, before = query.after, query.before
        return (after is None or after <= self.created) and (
            before is None or self.created < before
        )


def request_entry(request: pb.ImageRequest) -> Entry:
    return Entry(
        request.request_id,
        request.customer_id,
        request.state,
        request.create_time.ToMilliseconds(),
        request.update_time.ToMilliseconds(),
        request.image.metadata.format,
    )


def image_entry(image: pb.Image) -> Entry:
    """Return the entry of an image with the times of the image, which order searches but not the list of images."""
    recorded = image.create_time.ToMilliseconds()
    return Entry(
        image.request_id,
        image.customer_id,
        pb.STATE_COMPLETED,
        recorded,
        recorded,
        image.metadata.format,
    )


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The requests of one customer before a list is read, by id."""

    requests: Mapping[str, Entry]

    def expected(self, query: ListQuery) -> set[str]:
        """Return the ids that the list must contain."""
        return {entry.request_id for entry in self.requests.values() if entry.belongs_to(query)}

    def pending(self) -> list[str]:
        """Return the ids of PENDING requests."""
        return [key for key, entry in self.requests.items() if entry.state == pb.STATE_PENDING]

    def contradicts(self, entry: Entry) -> bool:
        """Return whether the request was terminal in another state than `entry`. A run reopens no request."""
        before = self.requests.get(entry.request_id)
        return before is not None and before.state in TERMINAL and entry.state != before.state

    def without_ended(self, later: "Snapshot") -> "Snapshot":
        """Omit requests that were PENDING and no longer are: a list of PENDING requests may or may not contain them."""
        ended = {key for key in self.pending() if later.requests[key].state != pb.STATE_PENDING}
        return Snapshot({key: entry for key, entry in self.requests.items() if key not in ended})


class NotEnded(Exception):
    """A request did not end within the progress timeout of the run."""


class SnapshotReader:
    def __init__(
        self, stub: "pb_grpc.ImageServiceAsyncStub", items: WalkItems, progress_timeout: float
    ) -> None:
        self._stub = stub
        self._items = items
        self._progress_timeout = progress_timeout

    async def read(self, request_ids: Iterable[str]) -> Snapshot:
        """Read acknowledged requests. Raises AioRpcError if one cannot be read."""
        waiting, requests = iter(request_ids), dict[str, Entry]()
        async with asyncio.TaskGroup() as group:
            for _ in range(CONCURRENCY):
                group.create_task(self._read_all(waiting, requests))
        return Snapshot(requests)

    async def wait_until_ended(self, number: int) -> None:
        """Raises NotEnded."""
        request_id = self._items.request_id(number)
        try:
            async with asyncio.timeout(self._progress_timeout):
                while (await self._status(request_id)).state not in TERMINAL:  # noqa: ASYNC110  the server has no Event
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            raise NotEnded(f"{request_id} did not end") from None

    async def _read_all(self, waiting: Iterator[str], requests: dict[str, Entry]) -> None:
        for request_id in waiting:
            requests[request_id] = await self._status(request_id)

    async def _status(self, request_id: str) -> Entry:
        request = pb.GetStatusRequest(request_id=request_id)

        async def call() -> Entry:
            response = await self._stub.GetStatus(request, timeout=CALL_TIMEOUT_S)
            return request_entry(response.request)

        return await with_retries(self._progress_timeout, call)
