"""Check from outside that a process is ready. The caller sets the time limit."""

import asyncio
from collections.abc import Awaitable, Callable

import aiohttp
import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from cli.local.embedded_aws import EmbeddedAwsFailed

POLL_INTERVAL_S = 0.05
ANSWER_TIMEOUT_S = 2.0
AWS_READY_TIMEOUT_S = 30.0
# gRPC's default waits one second after the first refused connection, which is as long as the whole start.
RECONNECT = [
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 200),
]


async def grpc_serving(address: str) -> None:
    """Return once the standard health service says SERVING for the server as a whole."""
    async with grpc.aio.insecure_channel(address, options=RECONNECT) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        await _until(lambda: _serving(health))


async def _serving(health: health_pb2_grpc.HealthStub) -> bool:
    try:
        answer = await health.Check(health_pb2.HealthCheckRequest(), timeout=ANSWER_TIMEOUT_S)
    except grpc.aio.AioRpcError:
        return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


async def http_ok(url: str) -> None:
    """Return once a GET of `url` answers 200."""
    timeout = aiohttp.ClientTimeout(total=ANSWER_TIMEOUT_S)
    async with aiohttp.ClientSession(timeout=timeout, trust_env=False) as session:
        await _until(lambda: _ok(session, url))


async def aws_ready(endpoint: str, timeout_s: float = AWS_READY_TIMEOUT_S) -> None:
    """Wait until the emulator answers. Raises EmbeddedAwsFailed after `timeout_s` seconds."""
    try:
        async with asyncio.timeout(timeout_s):
            await http_ok(f"{endpoint}/_ministack/health")
    except TimeoutError:
        raise EmbeddedAwsFailed(f"not ready at {endpoint} after {timeout_s:g} s") from None


async def _until(ready: Callable[[], Awaitable[bool]]) -> None:
    while not await ready():  # noqa: ASYNC110  what is awaited is another process, which sets no event here
        await asyncio.sleep(POLL_INTERVAL_S)


async def _ok(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(url) as answer:
            return answer.status == 200  # noqa: PLR2004  HTTP's OK
    except (aiohttp.ClientError, TimeoutError):
        return False
