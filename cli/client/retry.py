"""When a call that failed is made again. Pure."""

from dataclasses import dataclass

from cli.rpc_error import RpcFault


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Times are in seconds."""

    attempts: int = 6
    first: float = 0.5
    longest: float = 8.0
    longest_asked: float = 60.0
    """A server that asks for more is asked again all the same."""
    longest_watch_gap: float = 60.0
    """So long a watch tells nothing before it is given up: what it follows is safe, and servers restart."""

    def gives_up(self, attempt: int, fault: RpcFault) -> bool:
        """After failed attempt number `attempt`, from 1."""
        return not fault.retryable or attempt >= self.attempts

    def loses_sight(self, seconds: float, fault: RpcFault) -> bool:
        """Whether a watch that could not be opened for so many seconds is given up."""
        return not fault.retryable or seconds >= self.longest_watch_gap

    def wait(self, attempt: int, fault: RpcFault, chance: float) -> float:
        """How long to wait after failed attempt number `attempt`; `chance` is between 0 and 1.

        Exponential with full jitter. What the server asks for comes on top, so that those who were told the same do
        not come back together.
        """
        # The exponent is bounded, as 2.0 ** 1024 overflows.
        jitter = chance * min(self.longest, self.first * 2.0 ** min(attempt - 1, 30))
        return min(fault.retry_after or 0.0, self.longest_asked) + jitter
