"""What is known of requests before their lists are walked: read by GetStatus, one by one, which knows of no list."""

import asyncio
from collections.abc import Iterable, Iterator

from imageservice.v1 import image_service_pb2 as pb
from imageservice.v1 import image_service_pb2_grpc as pb_grpc
from loadtest.walk.calling import CALL_SECONDS, again
from loadtest.walk.entry import ENDED, Entry, entry_of
from loadtest.walk.items import WalkItems
from loadtest.walk.proof import Known

AT_ONCE = 32
POLL_SECONDS = 0.2


class NotEnded(Exception):
    """A request did not end for as long as patience lasts."""


class Looking:
    def __init__(
        self, stub: "pb_grpc.ImageServiceAsyncStub", items: WalkItems, patience: float
    ) -> None:
        self._stub = stub
        self._items = items
        self._patience = patience

    async def known(self, request_ids: Iterable[str]) -> Known:
        """All of these. Raises AioRpcError where one cannot be read: each was acknowledged."""
        waiting, requests = iter(request_ids), dict[str, Entry]()
        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(self._read(waiting, requests))
        return Known(requests)

    async def until_ended(self, number: int) -> None:
        """Raises NotEnded."""
        request_id = self._items.request_id(number)
        try:
            async with asyncio.timeout(self._patience):
                while (await self._status(request_id)).state not in ENDED:  # noqa: ASYNC110  another process has no Event
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError:
            raise NotEnded(f"{request_id} did not end") from None

    async def _read(self, waiting: Iterator[str], requests: dict[str, Entry]) -> None:
        for request_id in waiting:
            requests[request_id] = await self._status(request_id)

    async def _status(self, request_id: str) -> Entry:
        asked = pb.GetStatusRequest(request_id=request_id)

        async def call() -> Entry:
            return entry_of((await self._stub.GetStatus(asked, timeout=CALL_SECONDS)).request)

        return await again(self._patience, call)
