"""How the driver learns that items have ended."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

from imageservice.v1 import image_service_pb2_grpc as pb_grpc
from loadtest.million.aws_access import AwsAccess
from loadtest.million.desk import Desk
from loadtest.million.notifications import subscribed
from loadtest.million.watching import Watching
from loadtest.run_report.recorder import Depth


class Follower(Protocol):
    async def follow(self) -> None:
        """Tell the desk of every end, until cancelled."""

    async def waiting(self) -> Depth | None:
        """News that are on their way and can be counted; None where they cannot."""


@asynccontextmanager
async def follower(
    aws: AwsAccess | None, stub: "pb_grpc.ImageServiceAsyncStub", desk: Desk
) -> AsyncIterator[Follower]:
    """By notifications where AWS can be reached, which costs the processes under test nothing; else by watching."""
    if aws is None:
        watching = Watching(stub, desk)
        desk.on_acknowledged = watching.add
        yield watching
        return
    async with subscribed(aws, desk) as notifications:
        yield notifications
