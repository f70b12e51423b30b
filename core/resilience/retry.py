"""Retries of operations on dependencies that are unavailable for a while."""

from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt
from tenacity.stop import StopBaseT, stop_never

from core.errors import DependencyUnavailable
from core.resilience.backoff import Backoff

P = ParamSpec("P")
R = TypeVar("R")
_log = structlog.get_logger()

MAX_ATTEMPTS = 8
_COMMAND_BACKOFF = Backoff(0.5, 30.0, floor=0.5)
"""All delays together are 31 to 62 s. The floor makes a command outlast half a minute of outage; an outage of minutes
ends the command."""


def retrying(
    operation: str, *errors: type[Exception], backoff: Backoff, stop: StopBaseT = stop_never
) -> AsyncRetrying:
    """Return a retry loop for one call of a coroutine function: it logs each retry and raises the last error."""

    def log(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome is not None else None
        _log.warning("retrying", operation=operation, error=str(error))

    return AsyncRetrying(
        retry=retry_if_exception_type(errors),
        wait=backoff,
        stop=stop,
        before_sleep=log,
        reraise=True,
    )


async def retry_unavailable(
    operation: str, call: Callable[P, Awaitable[R]], *args: P.args, **kwargs: P.kwargs
) -> R:
    """Call up to MAX_ATTEMPTS times while the call raises DependencyUnavailable; raise the last one.

    For an operator's command, which continues where it is instead of starting over.
    """
    loop = retrying(
        operation,
        DependencyUnavailable,
        backoff=_COMMAND_BACKOFF,
        stop=stop_after_attempt(MAX_ATTEMPTS),
    )

    async def attempt() -> R:  # Tenacity would not await what a lambda returns.
        return await call(*args, **kwargs)

    answer: R = await loop(attempt)
    return answer
