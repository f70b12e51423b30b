"""The verification of the million: reported outcomes against stored state."""

from collections import Counter
from collections.abc import Callable

import pytest

from imageservice.v1 import image_service_pb2 as pb
from loadtest.million.deciles import Stability
from loadtest.million.items import Items
from loadtest.million.ledger import COMPLETED, Ledger
from loadtest.million.verification import RowCounts, StoredImage, StoredRequest, Verification
from loadtest.million.verifier import FETCHED, chunks, from_proto, is_fetched

IMAGE = StoredImage("http://127.0.0.1/a.jpg", "5e")
STABLE = Stability(passed=True, sentences=())


def items(total: int, bodies: int) -> Items:
    return Items(total, bodies, 10, ("http://127.0.0.1:1",))


def _acknowledged_twice(ledger: Ledger) -> None:
    ledger.acknowledge(1)


def _ended_again(ledger: Ledger) -> None:
    ledger.end(1, 2, COMPLETED)


def _ended_differently(ledger: Ledger) -> None:
    ledger.end(1, 3, "NOT_FOUND")


def _nothing(ledger: Ledger) -> None:
    del ledger


GOOD = StoredRequest(COMPLETED, 2, image=IMAGE)
ALL_ROWS = RowCounts(requests=3, images=3)


@pytest.mark.parametrize(
    ("happens", "found", "rows", "faults"),
    [
        (_nothing, GOOD, ALL_ROWS, {}),
        (_nothing, GOOD, None, {}),
        (_ended_again, GOOD, ALL_ROWS, {}),
        (
            _nothing,
            StoredRequest("FAILED", 2, image=None),
            RowCounts(3, 2),
            {"failed": "FAILED", "duplicated": "stored FAILED"},
        ),
        (_nothing, None, RowCounts(2, 2), {"lost": "absent", "rows": "2 request rows"}),
        (_nothing, StoredRequest("PENDING", 1, image=None), RowCounts(3, 2), {"lost": "pending"}),
        (_nothing, StoredRequest(COMPLETED, 4, image=IMAGE), None, {"duplicated": "revision 4"}),
        (_nothing, StoredRequest(COMPLETED, 2, image=None), None, {"image": "has no image"}),
        (
            _nothing,
            StoredRequest("FAILED", 2, image=IMAGE),
            None,
            {"failed": "FAILED", "duplicated": "stored FAILED", "image": "has an image"},
        ),
        (_nothing, GOOD, RowCounts(3, 4), {"rows": "4 image rows"}),
        (_acknowledged_twice, GOOD, None, {"duplicated": "acknowledged twice"}),
        (_ended_differently, GOOD, None, {"duplicated": "two terminal revisions"}),
    ],
)
def test_lost_and_duplicated_items_are_named(
    happens: Callable[[Ledger], None],
    found: StoredRequest | None,
    rows: RowCounts | None,
    faults: dict[str, str],
) -> None:
    """Of three items the second one is wrong."""
    some, ledger = items(3, 3), Ledger(3)
    for number in range(3):
        ledger.acknowledge(number)
        ledger.end(number, 2, COMPLETED)
    happens(ledger)
    verification = Verification(some, ledger)
    for number in range(3):
        verification.check(number, found if number == 1 else GOOD)
    verification.finish(rows)
    assert set(verification.faults) == set(faults)
    for kind, words in faults.items():
        assert words in " ".join(verification.faults[kind])
        assert kind == "rows" or some.request_id(1) in verification.faults[kind][0]
    assert verification.verdict(STABLE).passed == (not faults)


def test_a_stored_outcome_that_differs_from_the_reported_one_is_a_fault() -> None:
    ledger = Ledger(1)
    ledger.acknowledge(0)
    ledger.end(0, 2, "NOT_FOUND")
    verification = Verification(items(1, 1), ledger)
    verification.check(0, GOOD)
    verification.finish(None)
    assert "reported FAILED at revision 2, stored COMPLETED" in verification.faults["duplicated"][0]


def test_an_unpublished_image_is_a_fault() -> None:
    ledger = Ledger(1)
    ledger.acknowledge(0)
    ledger.end(0, 2, COMPLETED)
    verification = Verification(items(1, 1), ledger)
    verification.check(0, GOOD)
    verification.add_fetch(0, "http://127.0.0.1/a.jpg returns 404")
    verification.finish(None)
    assert list(verification.faults) == ["published"]


@pytest.mark.parametrize("origins", [1, 4, 16])
def test_the_fetched_images_are_of_every_kind(origins: int) -> None:
    """Evenly over bodies, hosts and formats, which depend on remainders of the item number."""
    total = 1_000_000
    some = Items(total, total // 10, 10, tuple(f"http://o{n}" for n in range(origins)))
    fetched = [number for number in range(total) if is_fetched(number, total)]
    assert len(fetched) == pytest.approx(FETCHED, rel=0.01)
    urls = [some.url(number) for number in fetched]
    assert len(set(urls)) > 0.9 * FETCHED
    kinds = Counter((url.split("/")[2], url.rpartition(".")[2]) for url in urls)
    assert len(kinds) == 4 * origins
    assert max(kinds.values()) < 2 * min(kinds.values())


def test_every_image_of_a_short_run_is_fetched() -> None:
    assert all(is_fetched(number, FETCHED) for number in range(FETCHED))


def test_an_item_without_lookup_is_a_fault() -> None:
    ledger = Ledger(2)
    for number in range(2):
        ledger.acknowledge(number)
        ledger.end(number, 2, COMPLETED)
    verification = Verification(items(2, 2), ledger)
    verification.check(0, GOOD)
    verification.finish(None)
    assert verification.faults == {"unverified": ["1 acknowledged requests were not looked up"]}
    assert not verification.verdict(STABLE).passed


def test_a_redelivered_message_is_not_a_repeated_notification() -> None:
    ledger = Ledger(1)
    for message in ("a", "a", "b"):
        ledger.end(0, 2, COMPLETED, message)
    assert (ledger.redelivered, ledger.repeated) == (1, 1)


def test_an_unreported_end_is_a_fault() -> None:
    ledger = Ledger(1)
    ledger.acknowledge(0)
    verification = Verification(items(1, 1), ledger)
    verification.check(0, GOOD)
    verification.finish(None)
    assert list(verification.faults) == ["unreported"]


def test_a_run_with_rejected_items_fails() -> None:
    ledger = Ledger(2)
    ledger.acknowledge(0)
    ledger.end(0, 2, COMPLETED)
    ledger.reject(1)
    verification = Verification(items(2, 2), ledger)
    verification.check(0, GOOD)
    verification.finish(None)
    assert not verification.verdict(STABLE).passed
    assert "1 were not acknowledged." in verification.verdict(STABLE).sentences


def test_only_the_verdict_shortens_a_long_list_of_faults() -> None:
    ledger = Ledger(50)
    verification = Verification(items(50, 50), ledger)
    for number in range(50):
        ledger.acknowledge(number)
        ledger.end(number, 2, COMPLETED)
        verification.check(number, None)
    verification.finish(None)
    assert len(verification.faults["lost"]) == 50
    assert "and 30 more" in " ".join(verification.verdict(STABLE).sentences)


def test_an_item_is_finished_once_acknowledged_and_ended_in_either_order() -> None:
    ledger = Ledger(3)
    assert ledger.end(0, 2, COMPLETED)
    assert not ledger.finished(0)
    assert ledger.acknowledge(0)
    assert ledger.finished(0)
    ledger.reject(1)
    assert ledger.finished(1)
    assert not ledger.finished(2)
    assert not ledger.end(0, 2, COMPLETED)
    assert (ledger.repeated, ledger.ended_twice) == (1, [])


def test_an_unstable_run_fails() -> None:
    ledger = Ledger(1)
    ledger.acknowledge(0)
    ledger.end(0, 2, COMPLETED)
    verification = Verification(items(1, 1), ledger)
    verification.check(0, GOOD)
    verification.finish(None)
    verdict = verification.verdict(Stability(passed=False, sentences=("It grew.",)))
    assert not verdict.passed
    assert verdict.sentences[-1] == "It grew."


STORED = pb.Image(public_url=IMAGE.public_url, metadata=pb.ImageMetadata(sha256=IMAGE.sha256))


@pytest.mark.parametrize(
    ("request_", "found"),
    [
        (
            pb.ImageRequest(state=pb.STATE_PENDING, revision=1),
            StoredRequest("PENDING", 1, image=None),
        ),
        (
            pb.ImageRequest(state=pb.STATE_COMPLETED, revision=2, image=STORED),
            StoredRequest(COMPLETED, 2, image=IMAGE),
        ),
        (
            pb.ImageRequest(state=pb.STATE_FAILED, revision=2),
            StoredRequest("FAILED", 2, image=None),
        ),
    ],
)
def test_a_status_is_converted_to_a_stored_request(
    request_: pb.ImageRequest, found: StoredRequest
) -> None:
    assert from_proto(request_) == found


def test_chunks_contain_everything_once() -> None:
    assert list(chunks(iter(range(7)), 3)) == [[0, 1, 2], [3, 4, 5], [6]]
