"""Whose image a record is."""

import pytest

from harness.outcomes import image_record

RECORDED = 1_700_000_000_000
HOUR_MS = 3_600_000


@pytest.mark.parametrize(
    ("customer", "created_at", "expected"),
    [
        ("acme", RECORDED - HOUR_MS, True),
        ("acme", RECORDED, True),
        ("acme", RECORDED + 60_000, True),
        ("acme", RECORDED + 60_001, False),
        ("acme", RECORDED + 24 * HOUR_MS, False),
        ("globex", RECORDED - HOUR_MS, False),
        ("globex", RECORDED + 24 * HOUR_MS, False),
    ],
)
def test_an_image_belongs_to_a_request_of_its_customer_that_came_before_it(
    customer: str, created_at: int, expected: bool
) -> None:
    """Clocks may differ by a minute; an image that is older than that is an earlier request's."""
    record = image_record("0b8f4a5e-7a59-4c39-9d0f-3c3a9b0a1f11", created_at=RECORDED)
    assert record.belongs_to(customer, created_at) is expected
