"""What becomes of messages of customers over their share: moved once, delayed a bounded number of times."""

import pytest

from consumer.worker.polling.deferral import MAX_DEFERRALS, Deferral, defer, is_deferrable
from core.model.message import Lane

INTERACTIVE, BULK = Lane.INTERACTIVE, Lane.BULK


def test_an_interactive_message_moves_to_bulk_at_once() -> None:
    """Also after it was delayed in a system with one lane."""
    assert defer(INTERACTIVE, 3, has_bulk=True) == Deferral(BULK, 0, 3)


@pytest.mark.parametrize(("lane", "has_bulk"), [(BULK, True), (INTERACTIVE, False)])
def test_other_messages_keep_their_lane_with_a_delay_that_grows(lane: Lane, has_bulk: bool) -> None:
    ceilings = [4, 8, 16, 32, 64, 128, 256, 512]
    for deferrals, ceiling in enumerate(ceilings):
        deferral = defer(lane, deferrals, has_bulk=has_bulk)
        assert (deferral.lane, deferral.deferrals) == (lane, deferrals + 1)
        assert ceiling / 2 <= deferral.delay <= ceiling
    assert len(ceilings) == MAX_DEFERRALS


@pytest.mark.parametrize(
    ("lane", "deferrals", "has_bulk", "expected"),
    [
        (BULK, MAX_DEFERRALS - 1, True, True),
        (BULK, MAX_DEFERRALS, True, False),
        (INTERACTIVE, MAX_DEFERRALS, True, True),  # it moves
        (INTERACTIVE, MAX_DEFERRALS, False, False),
    ],
)
def test_the_number_of_deferrals_is_bounded(
    lane: Lane, deferrals: int, has_bulk: bool, expected: bool
) -> None:
    assert is_deferrable(lane, deferrals, has_bulk=has_bulk) is expected


@pytest.mark.parametrize(("left_ms", "longest"), [(100_000, 101), (3_000, 4), (-60_000, 1)])
def test_a_delay_ends_soon_after_the_time_limit_of_the_request(
    left_ms: int, longest: float
) -> None:
    now = 1_700_000_000_000
    deferral = defer(BULK, 7, has_bulk=True, not_after=now + left_ms, now=now)
    assert deferral.delay <= longest
