"""The lane of a message: by the customer's rate, or because the caller asks for bulk."""

from typing import cast

import pytest

from core.aws.http import JsonService
from core.aws.sqs import SqsQueue
from server.lanes.rate import InteractiveRate
from server.lanes.selector import LaneSelector

INTERACTIVE = SqsQueue(cast("JsonService", None), "interactive")
BULK = SqsQueue(cast("JsonService", None), "bulk")
HOURLY = 1 / 3_600


@pytest.mark.parametrize(
    ("asked", "lanes"),
    [
        ([False, False, False], ["interactive", "interactive", "bulk"]),
        ([True, True, True], ["bulk", "bulk", "bulk"]),
        ([True, False, True, False, False], ["bulk", "interactive", "bulk", "interactive", "bulk"]),
    ],
)
def test_the_rate_and_the_caller_decide(asked: list[bool], lanes: list[str]) -> None:
    """A message for which bulk was asked uses nothing of the rate, here a burst of two."""
    selector = LaneSelector(INTERACTIVE, BULK, InteractiveRate(HOURLY, 2))
    assert [selector.select("acme", bulk=each)._url for each in asked] == lanes
    assert selector.select("other") is INTERACTIVE


@pytest.mark.parametrize("bulk", [False, True])
def test_with_one_lane_all_messages_are_interactive(bulk: bool) -> None:
    """The rate is not used."""
    selector = LaneSelector(INTERACTIVE, None, InteractiveRate(HOURLY, 1))
    assert {selector.select("acme", bulk=bulk) for _ in range(3)} == {INTERACTIVE}
