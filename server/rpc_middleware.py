"""Runs every RPC: counts and times it, and converts its error to a gRPC status."""

import asyncio
import time
from collections.abc import Awaitable
from typing import Any, TypeVar

import structlog
from grpc import StatusCode
from grpc.aio import ServicerContext

from core.runtime.in_flight import InFlight
from core.runtime.logging import LogThrottle
from server.errors import Reason, RpcError, to_rpc_error, to_status
from server.metrics import MethodMetrics

R = TypeVar("R")

_OUTAGE_LOG_INTERVAL_S = 10.0

_log = structlog.get_logger()


class RpcMiddleware:
    """`in_flight` counts the calls in progress, so that a graceful shutdown can wait for their answers."""

    def __init__(self) -> None:
        self.in_flight = InFlight()
        self._outage_throttle = LogThrottle(_OUTAGE_LOG_INTERVAL_S)

    async def run(
        self, metrics: MethodMetrics, context: ServicerContext[Any, Any], work: Awaitable[R]
    ) -> R:
        """Run one call. If `work` raises, abort the call with the status of the error."""
        self.in_flight.start()
        metrics.started()
        started = time.perf_counter()
        code = StatusCode.OK
        try:
            return await work
        except asyncio.CancelledError:
            code = StatusCode.CANCELLED
            raise
        except Exception as error:  # noqa: BLE001  any error becomes a status
            failure = self.report(error)
            code = failure.reason.code
            status = to_status(failure)
            await context.abort(status.code, status.details, status.trailing_metadata)
        finally:
            metrics.ended(code, time.perf_counter() - started)
            self.in_flight.finish()

    def report(self, error: BaseException) -> RpcError:
        """Return the error for the caller. Log it if the caller does not get its details."""
        failure = to_rpc_error(error)
        if failure.reason is Reason.INTERNAL:
            _log.error("call failed", exc_info=error)
        elif failure.reason is Reason.DEPENDENCY_UNAVAILABLE and self._outage_throttle.allows():
            # In an outage every call would write a line; the metrics count them.
            _log.warning("dependency unavailable", error=str(error))
        return failure
