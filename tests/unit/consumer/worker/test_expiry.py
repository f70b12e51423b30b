"""No fetch begins after `not_after`."""

from dataclasses import replace

import pytest

from consumer.worker.expiry import is_expired, limit_requeue, not_after_of
from consumer.worker.retry_policy import Decision, Fail, Requeue
from core.errors import Expired, NotFound
from core.model.message import ImageMessage
from core.model.request import new_request

MESSAGE = ImageMessage("id", "acme", "http://a.example/", 1, not_after=5)
REQUEST = new_request(request_id="id", customer_id="acme", url="u", labels={}, not_after=7, now=1)


@pytest.mark.parametrize(
    ("not_after", "now", "expired"),
    [(0, 10, False), (10, 9, False), (10, 10, False), (10, 11, True), (1, 2, True)],
)
def test_a_fetch_may_begin_up_to_the_time(not_after: int, now: int, expired: bool) -> None:
    """0 is no limit."""
    assert is_expired(not_after, now) is expired


def test_the_row_restores_a_time_that_the_message_lost() -> None:
    """A worker of an earlier version drops the member when it requeues the message."""
    assert not_after_of(MESSAGE, None) == 5
    assert not_after_of(replace(MESSAGE, not_after=0), REQUEST) == 7


@pytest.mark.parametrize("delay", [0.0, 1.0, 2.0])
def test_a_requeue_that_ends_in_time_is_kept(delay: float) -> None:
    decision = Requeue(delay, 1, "timeout")
    assert limit_requeue(decision, 3_000, 1_000) is decision
    assert limit_requeue(decision, 0, 1_000) is decision


def test_a_requeue_that_ends_too_late_is_a_failure() -> None:
    """At once: no attempt could follow the delay. Attempts already made are kept."""
    decision = limit_requeue(Requeue(2.5, 2, "timeout"), 3_000, 1_000)
    assert isinstance(decision, Fail)
    assert (type(decision.failure), decision.attempts) == (Expired, 2)


def test_another_failure_keeps_its_code() -> None:
    """The origin's last answer says more than that the time has passed since."""
    decision: Decision = Fail(NotFound(), 1)
    assert limit_requeue(decision, 1, 2) is decision
