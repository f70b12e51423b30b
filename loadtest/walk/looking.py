"""What is known of requests before their lists are walked: read by GetStatus, one by one, which knows of no list."""

import asyncio
from collections.abc import Iterable, Iterator

from imageservice.v1 import image_service_pb2 as pb
from imageservice.v1 import image_service_pb2_grpc as pb_grpc
from loadtest.walk.calling import CALL_SECONDS, again
from loadtest.walk.items import WalkItems
from loadtest.walk.lists import Entry, entry_of
from loadtest.walk.proof import Known

AT_ONCE = 32
POLL_SECONDS = 0.2
ENDED = (pb.STATE_COMPLETED, pb.STATE_FAILED)


class NotEnded(Exception):
    """A request did not end for as long as patience lasts."""


class Looking:
    def __init__(
        self, stub: "pb_grpc.ImageServiceAsyncStub", items: WalkItems, patience: float
    ) -> None:
        self._stub = stub
        self._items = items
        self._patience = patience

    async def known(self, numbers: Iterable[int]) -> Known:
        """All of these. Raises AioRpcError where one cannot be read: each was acknowledged."""
        waiting, requests = iter(numbers), dict[str, Entry]()
        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(self._read(waiting, requests))
        return Known(requests)

    async def until_ended(self, number: int) -> None:
        """Raises NotEnded."""
        try:
            async with asyncio.timeout(self._patience):
                while (await self._status(number)).state not in ENDED:  # noqa: ASYNC110  another process has no Event
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError:
            raise NotEnded(f"{self._items.request_id(number)} did not end") from None

    async def _read(self, waiting: Iterator[int], requests: dict[str, Entry]) -> None:
        for number in waiting:
            entry = await self._status(number)
            requests[entry.request_id] = entry

    async def _status(self, number: int) -> Entry:
        asked = pb.GetStatusRequest(request_id=self._items.request_id(number))

        async def call() -> Entry:
            return entry_of((await self._stub.GetStatus(asked, timeout=CALL_SECONDS)).request)

        return await again(self._patience, call)
