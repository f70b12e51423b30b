"""Learning of ends by WatchRequest, the public contract: against any address, without access to AWS.

The server then reads every watched request until it ends, and that work is part of what is measured.
"""

import asyncio

import grpc

from imageservice.v1 import image_service_pb2 as pb
from imageservice.v1 import image_service_pb2_grpc as pb_grpc
from loadtest.million.desk import Desk
from loadtest.million.ledger import COMPLETED
from loadtest.run_report.recorder import Depth

IDS_OF_A_STREAM = 100
"""The contract's limit."""
GATHER_SECONDS = 0.2
"""In which acknowledged ids gather for one stream."""
PAUSE_SECONDS = 0.5


def outcome_of(request: pb.ImageRequest) -> str | None:
    """COMPLETED or the failure's code; None while it is pending."""
    if request.state == pb.STATE_COMPLETED:
        return COMPLETED
    if request.state == pb.STATE_FAILED:
        return pb.FailureCode.Name(request.failure.code).removeprefix("FAILURE_CODE_")
    return None


class Watching:
    def __init__(self, stub: "pb_grpc.ImageServiceAsyncStub", desk: Desk) -> None:
        self._stub = stub
        self._desk = desk
        self._acknowledged: asyncio.Queue[str] = asyncio.Queue()

    def add(self, number: int) -> None:
        """An item was acknowledged."""
        self._acknowledged.put_nowait(self._desk.items.request_id(number))

    async def follow(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                gathered = [await self._acknowledged.get()]
                await asyncio.sleep(GATHER_SECONDS)
                while not self._acknowledged.empty():
                    gathered.append(self._acknowledged.get_nowait())
                for at in range(0, len(gathered), IDS_OF_A_STREAM):
                    group.create_task(self._watch(set(gathered[at : at + IDS_OF_A_STREAM])))

    async def waiting(self) -> Depth | None:
        return Depth(0, 0)

    async def _watch(self, ids: set[str]) -> None:
        while ids:
            call = self._stub.WatchRequest(pb.WatchRequestRequest(request_ids=sorted(ids)))
            try:
                async for answer in call:
                    outcome = outcome_of(answer.request)
                    if outcome is not None and answer.request.request_id in ids:
                        ids.remove(answer.request.request_id)
                        self._desk.told(answer.request.request_id, answer.request.revision, outcome)
            except grpc.aio.AioRpcError as error:
                self._desk.trouble(f"watch {error.code().name}")
                await asyncio.sleep(PAUSE_SECONDS)
