"""The retry policy of the client. Pure."""

from dataclasses import dataclass

from cli.rpc_error import RpcError
from core.resilience.backoff import Backoff

_BACKOFF = Backoff(0.5, 8.0)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Times are in seconds."""

    attempts: int = 6
    backoff: Backoff = _BACKOFF
    longest_retry_after_s: float = 60.0
    """The longest Retry-After that the client respects."""
    longest_watch_gap_s: float = 60.0
    """The longest interruption of a watch. Server restarts are shorter, and the requests are safe."""

    def exhausted(self, attempt: int, fault: RpcError) -> bool:
        """Return True if failed attempt `attempt` (from 1) was the last."""
        return not fault.retryable or attempt >= self.attempts

    def watch_timed_out(self, seconds: float, fault: RpcError) -> bool:
        """Return True if a watch that has been interrupted for `seconds` is given up."""
        return not fault.retryable or seconds >= self.longest_watch_gap_s

    def wait(self, attempt: int, fault: RpcError) -> float:
        """Return the seconds to wait after failed attempt number `attempt`.

        The backoff is added to the server's Retry-After: clients that got the same value do not return together.
        """
        return min(fault.retry_after or 0.0, self.longest_retry_after_s) + self.backoff.delay(
            attempt
        )
