"""Which request an image belongs to."""

from dataclasses import replace

import pytest

from core.model.image import is_image_of, reused_image_id
from core.model.request import ImageRequest, State, new_request
from harness.outcomes import image_record

ID = "0b8f4a5e-7a59-4c39-9d0f-3c3a9b0a1f11"
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
def test_an_image_belongs_to_an_earlier_request_of_its_customer(
    customer: str, created_at: int, expected: bool
) -> None:
    """Clocks may differ by a minute. An older image belongs to an earlier request with the same id."""
    record = image_record(ID, created_at=RECORDED)
    assert record.belongs_to(customer, created_at) is expected


RECORD = image_record(ID, created_at=RECORDED)
REUSED = replace(RECORD, image_id=reused_image_id(ID, RECORDED))


def request(created_at: int = RECORDED, image_id: str | None = None) -> ImageRequest:
    pending = new_request(
        request_id=ID, customer_id="acme", url="https://a.example/", labels={}, now=created_at
    )
    if image_id is None:
        return pending
    return replace(pending, state=State.COMPLETED, revision=2, image_id=image_id)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (request(), True),
        (request(RECORDED + 24 * HOUR_MS), False),
        (request(RECORDED + 24 * HOUR_MS, RECORD.image_id), True),
        (request(image_id=REUSED.image_id), False),
        (replace(request(image_id=RECORD.image_id), customer_id="globex"), False),
    ],
)
def test_a_row_that_names_its_image_decides(row: ImageRequest, expected: bool) -> None:
    """Otherwise the time of creation decides."""
    assert is_image_of(RECORD, row) is expected
