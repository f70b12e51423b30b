"""What the server offers for a submit."""

import uuid

from server.submit.admission import new_image_request
from server.validation import ValidSubmit

SUBMIT = ValidSubmit("https://a.example/1", "acme", None, {})


def test_ids_are_random_uuids() -> None:
    """Each is a UUID of version 4 in its canonical form, and none comes twice."""
    ids = [new_image_request(SUBMIT).request_id for _ in range(1_000)]
    assert len(set(ids)) == len(ids)
    for each in ids:
        parsed = uuid.UUID(each)
        assert (str(parsed), parsed.version, parsed.variant) == (each, 4, uuid.RFC_4122)
    assert {each[19] for each in ids} == set("89ab")


def test_a_callers_id_is_kept() -> None:
    request_id = str(uuid.uuid4())
    submit = ValidSubmit("https://a.example/1", "acme", request_id, {})
    assert new_image_request(submit).request_id == request_id
