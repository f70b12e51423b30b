"""Callers of SubmitImage that go on while their server stops: closed loops, and an open loop with a fixed rate."""

import asyncio
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import grpc

from harness.grpc_client import refusal, submit_request
from imageservice.v1 import image_service_pb2_grpc

OWN_CONNECTION = [
    # By default, channels to one address share a connection.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 200),
]
_TICK_S = 0.005
_PAUSE_S = 0.02
"""Pause of a closed loop after an error without a reason: no server listens."""
_TIMEOUT_S = 90.0


@dataclass(slots=True)
class Callers:
    """Each call goes to the next of `channels`."""

    channels: Sequence[grpc.aio.Channel]
    accepted: set[str] = field(default_factory=set)
    """The acknowledged request ids."""
    errors: Counter[tuple[grpc.StatusCode, str, bool]] = field(default_factory=Counter)
    """By code, reason (empty if gRPC itself raised the error), and whether the caller is told when to retry."""
    _calls: int = 0

    async def submit(self) -> bool:
        """Submit one image. Return False if no server gave an answer."""
        channel = self.channels[self._calls % len(self.channels)]
        self._calls += 1
        request = submit_request(str(uuid.uuid4()))
        stub = image_service_pb2_grpc.ImageServiceStub(channel)
        try:
            await stub.SubmitImage(request, timeout=_TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            seen = refusal(error)
            self.errors[seen.code, seen.reason, seen.retry_after is not None] += 1
            return bool(seen.reason)
        self.accepted.add(request.request_id)
        return True

    async def closed_loop(self, stop: asyncio.Event) -> None:
        """Submit again as soon as there is an answer, without the pause that RetryInfo asks for."""
        while not stop.is_set():
            if not await self.submit():
                await asyncio.sleep(_PAUSE_S)

    async def open_loop(self, stop: asyncio.Event, rate: float) -> None:
        """Start `rate` submits per second, however slow the answers are."""
        began, started = time.monotonic(), 0
        async with asyncio.TaskGroup() as calls:
            while not stop.is_set():
                for _ in range(int((time.monotonic() - began) * rate) - started):
                    calls.create_task(self.submit())
                    started += 1
                await asyncio.sleep(_TICK_S)


@asynccontextmanager
async def connected(address: str, count: int) -> AsyncIterator[Callers]:
    """Yield callers with `count` connections."""
    channels = [grpc.aio.insecure_channel(address, options=OWN_CONNECTION) for _ in range(count)]
    try:
        yield Callers(channels)
    finally:
        await asyncio.gather(*(channel.close() for channel in channels))
