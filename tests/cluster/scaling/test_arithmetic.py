"""The number of pods for a queue depth."""

import pytest

from cluster.scaling.scaling import Scaling

SCALING = Scaling(
    minimum=2,
    maximum=6,
    queue_length=100,
    bulk_queue_length=1_000,
    fallback=3,
    cooldown=60,
    until_fallback=20,
)


@pytest.mark.parametrize(
    ("messages", "pods"), [(0, 2), (200, 2), (201, 3), (500, 5), (501, 6), (9_000, 6)]
)
def test_pods_for_a_depth_are_between_minimum_and_maximum(messages: int, pods: int) -> None:
    assert SCALING.pods_for(messages) == pods


@pytest.mark.parametrize(
    ("messages", "bulk", "pods"), [(0, 2_001, 3), (300, 4_000, 4), (500, 3_000, 5), (500, 9_000, 6)]
)
def test_the_lane_that_needs_more_pods_decides(messages: int, bulk: int, pods: int) -> None:
    assert SCALING.pods_for(messages, bulk) == pods
