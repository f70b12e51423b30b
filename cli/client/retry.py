"""When a call that failed is made again. Pure."""

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
    """A server that asks for more is asked again all the same."""
    longest_watch_gap_s: float = 60.0
    """So long a watch tells nothing before it is given up: what it follows is safe, and servers restart."""

    def exhausted(self, attempt: int, fault: RpcError) -> bool:
        """After failed attempt number `attempt`, from 1."""
        return not fault.retryable or attempt >= self.attempts

    def watch_timed_out(self, seconds: float, fault: RpcError) -> bool:
        """Whether a watch that could not be opened for so many seconds is given up."""
        return not fault.retryable or seconds >= self.longest_watch_gap_s

    def wait(self, attempt: int, fault: RpcError) -> float:
        """Return the seconds to wait after failed attempt number `attempt`.

        The backoff is added to the server's Retry-After: clients that got the same value do not return together.
        """
        return min(fault.retry_after or 0.0, self.longest_retry_after_s) + self.backoff.delay(
            attempt
        )
