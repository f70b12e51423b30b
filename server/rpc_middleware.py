"""Runs every RPC: counts and times it, and converts its error to a gRPC status."""

import asyncio
import time
from collections.abc import Coroutine
from typing import Any, NoReturn, TypeVar, cast

import structlog
from grpc import StatusCode
from grpc.aio import ServicerContext

from core.errors import DependencyUnavailable
from core.runtime.in_flight import InFlight
from core.runtime.logging import LogThrottle
from server.errors import Reason, RpcError, ServerDraining, to_rpc_error, to_status
from server.metrics import MethodMetrics

R = TypeVar("R")

_OUTAGE_LOG_INTERVAL_S = 10.0

UNARY_LIMIT_S = 20.0
"""Longest time of a unary call. If AWS does not answer at all, a call waits for several AWS calls of up to 15 s each.
The caller must get UNAVAILABLE before its own deadline, which is commonly 30 s."""

_TIMEOUT_ROUNDING = 0.01
"""gRPC rounds the timeout that a client sends up to three digits (timeout_encoding.cc), so its end comes first."""
_CLOCK_GRANULARITY_S = 0.01
"""The deadline has whole milliseconds of another clock, and time may pass before the call starts."""

_log = structlog.get_logger()


class RpcMiddleware:
    """`unary` and `streams` count the calls whose answer is not written yet: a graceful shutdown waits for them.

    `rejected` counts the calls that were rejected with ServerDraining.
    """

    def __init__(self) -> None:
        self.unary = InFlight()
        self.streams = InFlight()
        self.rejected = 0
        self._rejects_unary = False
        self._rejects_streams = False
        self._outage_throttle = LogThrottle(_OUTAGE_LOG_INTERVAL_S)

    def reject_streams(self) -> None:
        """Reject further streams; those in progress continue."""
        self._rejects_streams = True

    def reject_all(self) -> None:
        """Reject further calls of every kind; those in progress continue."""
        self._rejects_unary = self._rejects_streams = True

    async def run(
        self,
        metrics: MethodMetrics,
        context: ServicerContext[Any, Any],
        work: Coroutine[Any, Any, R],
    ) -> R:
        """Run one call. If `work` raises, abort the call with the status of the error."""
        metrics.started()
        started = time.perf_counter()
        code = StatusCode.OK
        if self._rejects_unary if metrics.unary else self._rejects_streams:
            self.rejected += 1
            work.close()
            work = _reject()
        else:
            work = self._start(metrics, context, work)
        try:
            return await work
        except asyncio.CancelledError:
            code = _cancellation_code(metrics, context, time.perf_counter() - started)
            raise
        except Exception as error:  # noqa: BLE001  any error becomes a status
            failure = self.report(error)
            code = failure.reason.code
            status = to_status(failure)
            await context.abort(status.code, status.details, status.trailing_metadata)
        finally:
            metrics.ended(code, time.perf_counter() - started)

    def report(self, error: BaseException) -> RpcError:
        """Return the error for the caller. Log it if the caller does not get its details."""
        failure = to_rpc_error(error)
        if failure.reason is Reason.INTERNAL:
            _log.error("call failed", exc_info=error)
        elif failure.reason is Reason.DEPENDENCY_UNAVAILABLE and self._outage_throttle.allows():
            # In an outage every call would write a line; the metrics count them.
            _log.warning("dependency unavailable", error=str(error))
        return failure

    def _start(
        self,
        metrics: MethodMetrics,
        context: ServicerContext[Any, Any],
        work: Coroutine[Any, Any, R],
    ) -> Coroutine[Any, Any, R]:
        """Count a call until gRPC has written its answer, which it does after the method has returned."""
        on_answered: Any  # The stub of add_done_callback has the callback of a client's call.
        if metrics.unary:
            self.unary.start()
            on_answered, work = self._on_unary_answered, run_bounded(work)
        else:
            self.streams.start()
            on_answered = self._on_stream_answered
        context.add_done_callback(on_answered)
        return work

    def _on_unary_answered(self, _context: ServicerContext[Any, Any]) -> None:
        self.unary.finish()

    def _on_stream_answered(self, _context: ServicerContext[Any, Any]) -> None:
        self.streams.finish()


async def run_bounded(work: Coroutine[Any, Any, R]) -> R:
    """Return the result of `work`. Raises DependencyUnavailable after UNARY_LIMIT_S seconds: only AWS takes that long.

    A submit in progress continues, as for a caller that disconnects. Not with asyncio.timeout, which costs 4 µs a call.
    """
    loop = asyncio.get_running_loop()
    task = cast("asyncio.Task[R]", asyncio.current_task(loop))
    # Not told by the clock: uvloop's `time` and `when` round differently, so a timer may fire before its time.
    expired = False

    def expire() -> None:
        nonlocal expired
        expired = True
        task.cancel()

    timer = loop.call_later(UNARY_LIMIT_S, expire)
    try:
        return await work
    except asyncio.CancelledError:
        if not expired:
            raise  # The client has ended the call.
        task.uncancel()
        raise DependencyUnavailable(f"no answer in {UNARY_LIMIT_S:g} s") from None
    finally:
        timer.cancel()


def _cancellation_code(
    metrics: MethodMetrics, context: ServicerContext[Any, Any], seconds: float
) -> StatusCode:
    """Return DEADLINE_EXCEEDED for a unary call whose time is up after `seconds` seconds.

    A client whose deadline expires resets the call, as one that cancels it does. A stream may last until the deadline
    of its client, which is no error.
    """
    remaining = context.time_remaining() if metrics.unary else None
    if remaining is None or remaining > seconds * _TIMEOUT_ROUNDING + _CLOCK_GRANULARITY_S:
        return StatusCode.CANCELLED
    return StatusCode.DEADLINE_EXCEEDED


async def _reject() -> NoReturn:
    raise ServerDraining("This server shuts down.")
