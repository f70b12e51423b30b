"""The retry policy of calls."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from cli.client.client import RetryPolicy
from cli.rpc_error import RpcError

UNAVAILABLE = RpcError("UNAVAILABLE", "SERVER_DRAINING", "")
CALLS = RetryPolicy()


@given(attempt=st.integers(1, 10_000), retry_after=st.none() | st.floats(0, 1e9))
def test_the_delay_of_a_call_is_bounded(attempt: int, retry_after: float | None) -> None:
    """For any attempt and any retry-after of the server. The delay is not shorter than retry-after, up to its bound."""
    fault = RpcError("UNAVAILABLE", "X", "", retry_after=retry_after)
    shortest = min(retry_after or 0.0, CALLS.longest_retry_after_s)
    assert shortest <= CALLS.wait(attempt, fault) <= shortest + CALLS.backoff.longest_s


def test_the_delay_of_a_call_doubles() -> None:
    """The longest delay of each attempt is twice the previous one, up to the bound."""
    policy = RetryPolicy(backoff=replace(CALLS.backoff, jitter=max))
    waits = [policy.wait(attempt, UNAVAILABLE) for attempt in range(1, 7)]
    assert waits == [0.5, 1, 2, 4, 8, 8]


def test_a_call_is_exhausted() -> None:
    """After the last attempt, and at once after an error that a retry cannot help."""
    assert not CALLS.exhausted(CALLS.attempts - 1, UNAVAILABLE)
    assert CALLS.exhausted(CALLS.attempts, UNAVAILABLE)
    assert CALLS.exhausted(1, RpcError("INVALID_ARGUMENT", "INVALID_REQUEST", ""))


def test_a_watch_times_out() -> None:
    """A minute after the stream broke, or at once after an error that a retry cannot help."""
    assert not CALLS.watch_timed_out(59, UNAVAILABLE)
    assert CALLS.watch_timed_out(60, UNAVAILABLE)
    assert CALLS.watch_timed_out(0, RpcError("NOT_FOUND", "REQUEST_NOT_FOUND", ""))
