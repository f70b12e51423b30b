"""The million driver's proof: what it makes of all that it was told and all that it found. Pure."""

from collections import Counter
from collections.abc import Callable

import pytest

from imageservice.v1 import image_service_pb2 as pb
from loadtest.million.items import Items
from loadtest.million.ledger import COMPLETED, Ledger
from loadtest.million.looking_up import chunks, found_of
from loadtest.million.proof import Found, Proof, RowCounts, StoredImage
from loadtest.million.published import FETCHED, is_fetched
from loadtest.million.steadiness import Steadiness

IMAGE = StoredImage("http://127.0.0.1/a.jpg", "5e")
STEADY = Steadiness(passed=True, sentences=())


def items(total: int, bodies: int) -> Items:
    return Items(total, bodies, 10, ("http://127.0.0.1:1",))


def _twice_acknowledged(ledger: Ledger) -> None:
    ledger.acknowledge(1)


def _told_again(ledger: Ledger) -> None:
    ledger.tell(1, 2, COMPLETED)


def _told_otherwise(ledger: Ledger) -> None:
    ledger.tell(1, 3, "NOT_FOUND")


def _nothing(ledger: Ledger) -> None:
    del ledger


GOOD = Found(COMPLETED, 2, image=IMAGE)
AS_IT_SHOULD = RowCounts(requests=3, images=3)


@pytest.mark.parametrize(
    ("happens", "found", "rows", "faults"),
    [
        (_nothing, GOOD, AS_IT_SHOULD, {}),
        (_nothing, GOOD, None, {}),
        (_told_again, GOOD, AS_IT_SHOULD, {}),
        (
            _nothing,
            Found("FAILED", 2, image=None),
            RowCounts(3, 2),
            {"failed": "FAILED", "doubled": "stored FAILED"},
        ),
        (_nothing, None, RowCounts(2, 2), {"lost": "absent", "rows": "2 request rows"}),
        (_nothing, Found("PENDING", 1, image=None), RowCounts(3, 2), {"lost": "pending"}),
        (_nothing, Found(COMPLETED, 4, image=IMAGE), None, {"doubled": "revision 4"}),
        (_nothing, Found(COMPLETED, 2, image=None), None, {"image": "has no image"}),
        (
            _nothing,
            Found("FAILED", 2, image=IMAGE),
            None,
            {"failed": "FAILED", "doubled": "stored FAILED", "image": "has an image"},
        ),
        (_nothing, GOOD, RowCounts(3, 4), {"rows": "4 image rows"}),
        (_twice_acknowledged, GOOD, None, {"doubled": "acknowledged twice"}),
        (_told_otherwise, GOOD, None, {"doubled": "two terminal revisions"}),
    ],
)
def test_the_proof_names_what_is_lost_or_doubled(
    happens: Callable[[Ledger], None],
    found: Found | None,
    rows: RowCounts | None,
    faults: dict[str, str],
) -> None:
    """Three items of which the middle one is looked at."""
    some, ledger = items(3, 3), Ledger(3)
    for number in range(3):
        ledger.acknowledge(number)
        ledger.tell(number, 2, COMPLETED)
    happens(ledger)
    proof = Proof(some, ledger)
    for number in range(3):
        proof.look_at(number, found if number == 1 else GOOD)
    proof.close(rows)
    assert set(proof.faults) == set(faults)
    for kind, words in faults.items():
        assert words in " ".join(proof.faults[kind])
        assert kind == "rows" or some.request_id(1) in proof.faults[kind][0]
    assert proof.verdict(STEADY).passed == (not faults)


def test_what_was_told_must_be_what_is_stored() -> None:
    ledger = Ledger(1)
    ledger.acknowledge(0)
    ledger.tell(0, 2, "NOT_FOUND")
    proof = Proof(items(1, 1), ledger)
    proof.look_at(0, GOOD)
    proof.close(None)
    assert "told of FAILED at revision 2, stored COMPLETED" in proof.faults["doubled"][0]


def test_a_picture_that_is_not_published_is_a_fault() -> None:
    ledger = Ledger(1)
    ledger.acknowledge(0)
    ledger.tell(0, 2, COMPLETED)
    proof = Proof(items(1, 1), ledger)
    proof.look_at(0, GOOD)
    proof.fetch(0, "http://127.0.0.1/a.jpg answers 404")
    proof.close(None)
    assert list(proof.faults) == ["published"]


@pytest.mark.parametrize("origins", [1, 4, 16])
def test_the_pictures_that_are_fetched_are_of_every_kind(origins: int) -> None:
    """Evenly over bodies, hosts and formats, which are chosen by remainders of an item's number."""
    total = 1_000_000
    some = Items(total, total // 10, 10, tuple(f"http://o{n}" for n in range(origins)))
    fetched = [number for number in range(total) if is_fetched(number, total)]
    assert len(fetched) == pytest.approx(FETCHED, rel=0.01)
    urls = [some.url(number) for number in fetched]
    assert len(set(urls)) > 0.9 * FETCHED
    kinds = Counter((url.split("/")[2], url.rpartition(".")[2]) for url in urls)
    assert len(kinds) == 4 * origins
    assert max(kinds.values()) < 2 * min(kinds.values())


def test_every_picture_of_a_short_run_is_fetched() -> None:
    assert all(is_fetched(number, FETCHED) for number in range(FETCHED))


def test_what_was_not_looked_up_is_a_fault() -> None:
    ledger = Ledger(2)
    for number in range(2):
        ledger.acknowledge(number)
        ledger.tell(number, 2, COMPLETED)
    proof = Proof(items(2, 2), ledger)
    proof.look_at(0, GOOD)
    proof.close(None)
    assert proof.faults == {"unread": ["1 acknowledged requests were not looked up"]}
    assert not proof.verdict(STEADY).passed


def test_a_message_that_comes_twice_is_no_second_notification() -> None:
    ledger = Ledger(1)
    for message in ("a", "a", "b"):
        ledger.tell(0, 2, COMPLETED, message)
    assert (ledger.redelivered, ledger.repeats) == (1, 1)


def test_what_nobody_was_told_of_is_a_fault() -> None:
    ledger = Ledger(1)
    ledger.acknowledge(0)
    proof = Proof(items(1, 1), ledger)
    proof.look_at(0, GOOD)
    proof.close(None)
    assert list(proof.faults) == ["untold"]


def test_a_run_that_did_not_get_everything_in_has_not_passed() -> None:
    ledger = Ledger(2)
    ledger.acknowledge(0)
    ledger.tell(0, 2, COMPLETED)
    ledger.refuse(1)
    proof = Proof(items(2, 2), ledger)
    proof.look_at(0, GOOD)
    proof.close(None)
    assert not proof.verdict(STEADY).passed
    assert "1 were not acknowledged." in proof.verdict(STEADY).sentences


def test_a_long_list_of_faults_is_cut_in_the_verdict_alone() -> None:
    ledger = Ledger(50)
    proof = Proof(items(50, 50), ledger)
    for number in range(50):
        ledger.acknowledge(number)
        ledger.tell(number, 2, COMPLETED)
        proof.look_at(number, None)
    proof.close(None)
    assert len(proof.faults["lost"]) == 50
    assert "and 30 more" in " ".join(proof.verdict(STEADY).sentences)


def test_an_item_is_finished_when_acknowledged_and_told_in_either_order() -> None:
    ledger = Ledger(3)
    assert ledger.tell(0, 2, COMPLETED)
    assert not ledger.finished(0)
    assert ledger.acknowledge(0)
    assert ledger.finished(0)
    ledger.refuse(1)
    assert ledger.finished(1)
    assert not ledger.finished(2)
    assert not ledger.tell(0, 2, COMPLETED)
    assert (ledger.repeats, ledger.told_otherwise) == (1, [])


def test_a_run_that_was_not_steady_has_not_passed() -> None:
    ledger = Ledger(1)
    ledger.acknowledge(0)
    ledger.tell(0, 2, COMPLETED)
    proof = Proof(items(1, 1), ledger)
    proof.look_at(0, GOOD)
    proof.close(None)
    verdict = proof.verdict(Steadiness(passed=False, sentences=("It grew.",)))
    assert not verdict.passed
    assert verdict.sentences[-1] == "It grew."


STORED = pb.Image(public_url=IMAGE.public_url, metadata=pb.ImageMetadata(sha256=IMAGE.sha256))


@pytest.mark.parametrize(
    ("request_", "found"),
    [
        (pb.ImageRequest(state=pb.STATE_PENDING, revision=1), Found("PENDING", 1, image=None)),
        (
            pb.ImageRequest(state=pb.STATE_COMPLETED, revision=2, image=STORED),
            Found(COMPLETED, 2, image=IMAGE),
        ),
        (pb.ImageRequest(state=pb.STATE_FAILED, revision=2), Found("FAILED", 2, image=None)),
    ],
)
def test_the_public_contract_serves_the_proof_as_well(
    request_: pb.ImageRequest, found: Found
) -> None:
    assert found_of(request_) == found


def test_chunks_hold_everything_once() -> None:
    assert list(chunks(iter(range(7)), 3)) == [[0, 1, 2], [3, 4, 5], [6]]
