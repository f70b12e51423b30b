"""Repeats calls after transient errors."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import grpc
from tenacity import AsyncRetrying, retry_if_exception, stop_after_delay, wait_random_exponential

T = TypeVar("T")

CALL_TIMEOUT_S = 30.0
RETRY_S, MAX_RETRY_S = 0.2, 5.0

_RETRYABLE = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
    }
)


async def with_retries(progress_timeout: float, call: Callable[[], Awaitable[T]]) -> T:
    """Repeat the call for up to `progress_timeout` seconds. Then raises the error of the last attempt."""
    retrying = AsyncRetrying(
        retry=retry_if_exception(_is_transient),
        stop=stop_after_delay(progress_timeout),
        wait=wait_random_exponential(multiplier=RETRY_S, max=MAX_RETRY_S),
        reraise=True,
    )
    return await retrying(call)


def _is_transient(error: BaseException) -> bool:
    return isinstance(error, grpc.aio.AioRpcError) and error.code() in _RETRYABLE
