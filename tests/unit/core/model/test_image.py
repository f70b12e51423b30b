"""Which request an image belongs to."""

from dataclasses import replace

import pytest

from core.model.image import ImageRecord, is_image_of, is_published, reused_image_id
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
    """In a record of an earlier version, clocks may differ by a minute. An older image is an earlier request's."""
    record = image_record(ID, created_at=RECORDED)
    assert record.belongs_to(customer, created_at) is expected


@pytest.mark.parametrize("recorded", [RECORDED - HOUR_MS, RECORDED, RECORDED + 24 * HOUR_MS])
def test_a_record_with_the_time_of_its_request_belongs_to_that_request_alone(recorded: int) -> None:
    """The clock of the worker that inserted it does not matter."""
    record = image_record(ID, created_at=recorded, request_created_at=RECORDED)
    assert record.belongs_to("acme", RECORDED)
    assert not record.belongs_to("acme", RECORDED + 1)
    assert not record.belongs_to("acme", RECORDED - 1)
    assert not record.belongs_to("globex", RECORDED)


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


NAMED = image_record(ID, created_at=RECORDED, request_created_at=RECORDED)
LATER = RECORDED + 24 * HOUR_MS


def failed(created_at: int = RECORDED) -> ImageRequest:
    return replace(request(created_at), state=State.FAILED, revision=2)


@pytest.mark.parametrize("record", [RECORD, NAMED], ids=["earlier version", "this version"])
@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (None, True),
        (request(), False),
        (replace(request(), revision=3), False),
        (failed(), False),
        (request(image_id=RECORD.image_id), True),
        (request(image_id=REUSED.image_id), False),
        (request(LATER), True),
        (failed(LATER), True),
        (request(LATER, REUSED.image_id), True),
        (replace(request(), customer_id="globex"), True),
        (replace(request(image_id=REUSED.image_id), customer_id="globex"), True),
    ],
    ids=[
        "expired",
        "pending",
        "reopened",
        "failed",
        "completed with it",
        "completed with another",
        "later pending",
        "later failed",
        "later completed",
        "pending of another customer",
        "completed of another customer",
    ],
)
def test_an_image_is_published_while_its_request_is_completed_with_it(
    record: ImageRecord, row: ImageRequest | None, expected: bool
) -> None:
    """Or after the row of its request has expired."""
    assert is_published(record, row) is expected
