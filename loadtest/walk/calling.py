"""Calls that are made again where the service says that this may help."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import grpc
from tenacity import AsyncRetrying, retry_if_exception, stop_after_delay, wait_random_exponential

T = TypeVar("T")

CALL_SECONDS = 30.0
PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.2, 5.0

_AGAIN = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
    }
)


async def again(patience: float, call: Callable[[], Awaitable[T]]) -> T:
    """What the call answers, tried for so many seconds. Then it raises what the last one failed with."""
    retrying = AsyncRetrying(
        retry=retry_if_exception(_passes),
        stop=stop_after_delay(patience),
        wait=wait_random_exponential(multiplier=PAUSE_SECONDS, max=LONGEST_PAUSE_SECONDS),
        reraise=True,
    )
    return await retrying(call)


def _passes(error: BaseException) -> bool:
    return isinstance(error, grpc.aio.AioRpcError) and error.code() in _AGAIN
