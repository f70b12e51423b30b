"""The retry policy of calls."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from cli.client.retry import RetryPolicy
from cli.rpc_error import RpcError

UNAVAILABLE = RpcError("UNAVAILABLE", "SERVER_DRAINING", "")
CALLS = RetryPolicy()


@given(attempt=st.integers(1, 10_000), asked=st.none() | st.floats(0, 1e9))
def test_a_calls_wait_is_bounded(attempt: int, asked: float | None) -> None:
    """However often it failed and whatever the server asks, the wait is bounded, and no shorter than asked."""
    fault = RpcError("UNAVAILABLE", "X", "", retry_after=asked)
    reported = min(asked or 0.0, CALLS.longest_retry_after_s)
    assert reported <= CALLS.wait(attempt, fault) <= reported + CALLS.backoff.longest_s


def test_a_calls_wait_doubles() -> None:
    """Each attempt's longest wait is twice the one before, up to the bound."""
    policy = RetryPolicy(backoff=replace(CALLS.backoff, jitter=max))
    waits = [policy.wait(attempt, UNAVAILABLE) for attempt in range(1, 7)]
    assert waits == [0.5, 1, 2, 4, 8, 8]


def test_a_call_is_given_up() -> None:
    """After the last attempt, and at once after an error that a repeat cannot help."""
    assert not CALLS.exhausted(CALLS.attempts - 1, UNAVAILABLE)
    assert CALLS.exhausted(CALLS.attempts, UNAVAILABLE)
    assert CALLS.exhausted(1, RpcError("INVALID_ARGUMENT", "INVALID_REQUEST", ""))


def test_a_watch_is_patient() -> None:
    """A watch is given up a minute after it broke off, or at once after an error that a repeat cannot help."""
    assert not CALLS.watch_timed_out(59, UNAVAILABLE)
    assert CALLS.watch_timed_out(60, UNAVAILABLE)
    assert CALLS.watch_timed_out(0, RpcError("NOT_FOUND", "REQUEST_NOT_FOUND", ""))
