"""What every call has in common: it is counted, timed, and its error becomes a status."""

import asyncio
import time
from collections.abc import Awaitable
from typing import Any, TypeVar

import structlog
from grpc import StatusCode
from grpc.aio import ServicerContext

from server.errors import Reason, RpcError, rpc_error, status_of
from server.metrics import MethodMetrics

log = structlog.get_logger()

R = TypeVar("R")

_SILENCE_S = 10.0
"""Time after a line about an unavailable dependency in which there is no further one."""


class Calls:
    """The calls under way, so that a drain can wait for their answers."""

    def __init__(self) -> None:
        self._under_way = 0
        self._none = asyncio.Event()
        self._none.set()
        self._silent_until = 0.0

    @property
    def under_way(self) -> int:
        return self._under_way

    async def answer(
        self, metrics: MethodMetrics, context: ServicerContext[Any, Any], work: Awaitable[R]
    ) -> R:
        """Do the work of one call; where that fails, end the call with the error's status."""
        self._under_way += 1
        self._none.clear()
        metrics.started()
        started = time.perf_counter()
        code = StatusCode.OK
        try:
            return await work
        except asyncio.CancelledError:
            code = StatusCode.CANCELLED
            raise
        except Exception as error:  # noqa: BLE001  the map knows what each means, and what is a fault of ours
            failure = self.failure(error)
            code = failure.reason.code
            status = status_of(failure)
            await context.abort(status.code, status.details, status.trailing_metadata)
        finally:
            metrics.ended(code, time.perf_counter() - started)
            self._under_way -= 1
            if not self._under_way:
                self._none.set()

    def failure(self, error: BaseException) -> RpcError:
        """What the caller is told of it; what only we may know goes to the log."""
        failure = rpc_error(error)
        self._log(failure.reason, error)
        return failure

    def _log(self, reason: Reason, error: BaseException) -> None:
        if reason is Reason.INTERNAL:
            log.error("a call failed", exc_info=error)
        elif reason is Reason.DEPENDENCY_UNAVAILABLE and time.monotonic() >= self._silent_until:
            # In an outage every call would write a line; the metrics count them.
            self._silent_until = time.monotonic() + _SILENCE_S
            log.warning("a dependency is unavailable", error=str(error))

    async def settled(self) -> None:
        """Wait until no call is under way."""
        await self._none.wait()
