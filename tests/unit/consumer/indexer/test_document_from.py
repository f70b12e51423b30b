"""The document of an image and of the row with its request id."""

import uuid
from dataclasses import replace

import pytest

from consumer.indexer.lookup import document_from
from core.model.image import ImageRecord, image_id_of, reused_image_id
from core.model.request import ImageRequest, State, new_request
from core.search.document import document_of
from harness.outcomes import image_record

ID = str(uuid.uuid4())
CREATED = 1_700_000_000_000
DAY_MS = 86_400_000
OWN = image_record(ID, created_at=CREATED + 1_000)
OLD = image_record(ID, created_at=CREATED - DAY_MS)
THEIRS = image_record(ID, "globex", created_at=CREATED + 1_000)
LATER_ID = reused_image_id(ID, CREATED)
LATER = replace(OWN, image_id=LATER_ID)


def row(state: State, image_id: str | None = None) -> ImageRequest:
    request = new_request(
        request_id=ID, customer_id="acme", url="https://a.example/", labels={"a": "b"}, now=CREATED
    )
    return replace(request, state=state, revision=2, image_id=image_id)


@pytest.mark.parametrize(
    ("record", "request_"),
    [(OWN, row(State.COMPLETED, image_id_of(ID))), (LATER, row(State.COMPLETED, LATER_ID))],
)
def test_a_completed_request_adds_its_labels_and_host(
    record: ImageRecord, request_: ImageRequest
) -> None:
    assert document_from(record, request_) == document_of(record, request_)


@pytest.mark.parametrize("record", [OLD, THEIRS])
@pytest.mark.parametrize(
    "request_",
    [
        None,
        row(State.PENDING),
        row(State.FAILED),
        row(State.COMPLETED, LATER_ID),
    ],
)
def test_the_image_of_an_earlier_request_has_nothing_of_a_later_row(
    record: ImageRecord, request_: ImageRequest | None
) -> None:
    """It is indexed with the metadata of the image alone."""
    assert document_from(record, request_) == document_of(record, None)


def test_the_image_of_another_customer_has_nothing_of_a_row_that_names_it() -> None:
    """Earlier versions wrote such rows."""
    assert document_from(THEIRS, row(State.COMPLETED, THEIRS.image_id)) == document_of(THEIRS, None)


@pytest.mark.parametrize(
    ("record", "request_"),
    [
        (OWN, row(State.PENDING)),
        (OWN, row(State.FAILED)),
        (LATER, row(State.PENDING)),
        (OWN, row(State.COMPLETED, LATER_ID)),
        (None, row(State.COMPLETED)),
    ],
)
def test_without_a_published_image_there_is_no_document(
    record: ImageRecord | None, request_: ImageRequest
) -> None:
    assert document_from(record, request_) is None
