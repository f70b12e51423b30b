"""The verification of correct and wrong lists."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from imageservice.v1 import image_service_pb2 as pb
from loadtest.walk import lists
from loadtest.walk.items import WalkItems
from loadtest.walk.lists import MAX_PAGE, ListQuery, spans
from loadtest.walk.pages import Walk
from loadtest.walk.snapshot import Entry, Snapshot
from loadtest.walk.verification import Verification

ITEMS = WalkItems(24, 24, 2, ("http://127.0.0.1:1",), "0123456789abcdef01")
CUSTOMER = ITEMS.customer_at(0)
KINDS = {
    lists.ALL: pb.STATE_UNSPECIFIED,
    lists.PENDING: pb.STATE_PENDING,
    lists.COMPLETED: pb.STATE_COMPLETED,
    lists.FAILED: pb.STATE_FAILED,
    lists.IMAGES: pb.STATE_UNSPECIFIED,
    lists.SEARCH: pb.STATE_UNSPECIFIED,
    lists.SEARCH_FORMAT: pb.STATE_UNSPECIFIED,
}
OF_IMAGES = (lists.IMAGES, *lists.SEARCHES)


def entry(number: int, state: "pb.State.ValueType" = pb.STATE_COMPLETED) -> Entry:
    """A higher number means a later creation time."""
    image = ("PNG" if number % 4 else "GIF") if state == pb.STATE_COMPLETED else ""
    owner = ITEMS.customer(number)
    return Entry(ITEMS.request_id(number), owner, state, number, number + 100, image)


STATES = (pb.STATE_FAILED, pb.STATE_COMPLETED, pb.STATE_PENDING)
STATE_OF = {number: STATES[number % 3] for number in range(22, -1, -2)}
KNOWN = [entry(number, state) for number, state in STATE_OF.items()]
"""The requests of the customer, newest first."""


def snapshot(entries: Sequence[Entry] = KNOWN) -> Snapshot:
    return Snapshot({each.request_id: each for each in entries})


def verify(
    query: ListQuery, entries: Sequence[Entry], known: Snapshot | None = None
) -> Verification:
    verification, known = Verification(ITEMS), known or snapshot()
    verification.check(Walk(query, list(entries), [0.01]), known, known.expected(query))
    verification.check_token("AQ", query, ITEMS.customer_at(1), rejected=True)
    return verification


def query_of(kind: str) -> ListQuery:
    image_format = "PNG" if kind == lists.SEARCH_FORMAT else ""
    return ListQuery(kind, CUSTOMER, MAX_PAGE, KINDS[kind], format=image_format)


def good(kind: str) -> list[Entry]:
    state = pb.STATE_COMPLETED if kind in OF_IMAGES else KINDS[kind]
    listed = [each for each in KNOWN if state in {pb.STATE_UNSPECIFIED, each.state}]
    if kind == lists.SEARCH_FORMAT:
        return [each for each in listed if each.format == "PNG"]
    return listed


def later(kind: str, number: int) -> Entry:
    """Another entry that belongs to the list."""
    state = pb.STATE_COMPLETED if kind in OF_IMAGES else KINDS[kind] or pb.STATE_COMPLETED
    return entry(number, state)


@pytest.mark.parametrize("kind", KINDS)
def test_a_correct_list_passes_with_entries_submitted_later(kind: str) -> None:
    verification = verify(query_of(kind), [later(kind, 26), *good(kind)])
    assert verification.verdict(20, 1).passed, verification.faults


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_entry_is_named(kind: str) -> None:
    *listed, left_out = good(kind)
    verification = verify(query_of(kind), listed)
    assert left_out.request_id in verification.faults["missing"][0]
    assert not verification.verdict(20, 1).passed


@pytest.mark.parametrize("kind", KINDS)
def test_a_repeated_entry_is_named(kind: str) -> None:
    listed = good(kind)
    verification = verify(query_of(kind), [*listed, listed[-1]])
    assert listed[-1].request_id in verification.faults["repeated"][0]


@pytest.mark.parametrize(
    "foreign",
    [
        entry(1),
        entry(1)._replace(customer=CUSTOMER),
        entry(2)._replace(customer=ITEMS.customer_at(1)),
        entry(2)._replace(request_id="0f8fad5b-d9cb-469f-a165-70867728950e"),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_a_foreign_entry_is_named(kind: str, foreign: Entry) -> None:
    """Of another customer, with a wrong customer in the entry, or never submitted."""
    verification = verify(query_of(kind), [*good(kind), foreign])
    assert foreign.request_id in verification.faults["foreign"][0]


@pytest.mark.parametrize(
    ("kind", "number", "state"),
    [
        (lists.PENDING, 4, pb.STATE_COMPLETED),
        (lists.COMPLETED, 2, pb.STATE_PENDING),
        (lists.FAILED, 2, pb.STATE_PENDING),
    ],
)
def test_an_entry_in_another_state_is_named(
    kind: str, number: int, state: "pb.State.ValueType"
) -> None:
    """In the state that the request really has."""
    verification = verify(query_of(kind), [*good(kind), entry(number, state)._replace(created=0)])
    assert verification.faults.keys() & {"state", "contradicted"} == {"state"}
    assert ITEMS.request_id(number) in verification.faults["state"][0]


def test_an_image_of_another_format_is_named() -> None:
    """In a search for one format."""
    [other] = [each for each in good(lists.SEARCH) if each.format == "GIF" and each.created < 10]
    found = [*good(lists.SEARCH_FORMAT), other]
    verification = verify(query_of(lists.SEARCH_FORMAT), found)
    assert other.request_id in verification.faults["state"][0]
    assert not verification.verdict(20, 1).passed


@pytest.mark.parametrize(
    ("kind", "number"), [(lists.PENDING, 4), (lists.PENDING, 6), (lists.ALL, 4), (lists.ALL, 6)]
)
def test_an_ended_request_that_is_listed_as_pending_is_named(kind: str, number: int) -> None:
    """COMPLETED or FAILED in the snapshot."""
    assert STATE_OF[number] != pb.STATE_PENDING
    ended = entry(number, pb.STATE_PENDING)
    listed = sorted(
        [*(each for each in good(kind) if each.request_id != ended.request_id), ended],
        key=lambda each: -each.created,
    )
    verification = verify(query_of(kind), listed)
    assert set(verification.faults) == {"contradicted"}
    assert ended.request_id in verification.faults["contradicted"][0]
    assert not verification.verdict(20, 1).passed


@pytest.mark.parametrize("kind", [lists.ALL, lists.COMPLETED, lists.IMAGES, lists.SEARCH])
def test_a_request_pending_in_the_snapshot_may_be_listed_as_ended(kind: str) -> None:
    pending = next(each for each in KNOWN if each.state == pb.STATE_PENDING)
    others = [each for each in good(kind) if each.request_id != pending.request_id]
    ended = pending._replace(state=pb.STATE_COMPLETED)
    verification = verify(query_of(kind), sorted([*others, ended], key=lambda each: -each.created))
    assert verification.verdict(20, 1).passed, verification.faults


@pytest.mark.parametrize("kind", OF_IMAGES)
def test_an_image_of_a_failed_request_is_named(kind: str) -> None:
    """Lists of images have no state: a listed image is COMPLETED."""
    failed = next(each for each in KNOWN if each.state == pb.STATE_FAILED)
    image = failed._replace(state=pb.STATE_COMPLETED, format="PNG")
    verification = verify(query_of(kind), [image, *good(kind)])
    assert image.request_id in verification.faults["contradicted"][0]


@pytest.mark.parametrize("times", [0, 1, 2])
def test_a_request_that_ended_during_the_list_of_pending_ones_may_be_listed_once(
    times: int,
) -> None:
    """The others were PENDING throughout and must be listed once."""
    query, listed = query_of(lists.PENDING), good(lists.PENDING)
    first, *others = listed
    ended = first._replace(state=pb.STATE_COMPLETED)
    judged = snapshot().without_ended(snapshot([ended, *others]))
    verification = verify(query, [first] * times + others, judged)
    assert verification.expected[lists.PENDING] == len(others)
    assert set(verification.faults) == ({"repeated"} if times == 2 else set())
    missing = verify(query, [first, *others[1:]], judged)
    assert others[0].request_id in missing.faults["missing"][0]


def test_ended_requests_stay_in_the_snapshot_after_pending_ones_were_listed() -> None:
    """Otherwise a request that ended before and is listed as PENDING would not be a fault."""
    judged = snapshot().without_ended(snapshot(good(lists.PENDING)))
    assert judged.requests == snapshot().requests


def test_a_missing_result_of_an_earlier_search_is_named() -> None:
    """Only earlier searches require it; the snapshot is empty."""
    verification, query = Verification(ITEMS), query_of(lists.SEARCH)
    *listed, lost = good(lists.SEARCH)
    verification.check(Walk(query, listed), Snapshot({}), {lost.request_id})
    assert lost.request_id in verification.faults["missing"][0]
    assert verification.expected[lists.SEARCH] == 1


@pytest.mark.parametrize("kind", KINDS)
def test_an_older_entry_before_a_newer_one_is_named(kind: str) -> None:
    first, second, *rest = good(kind)
    verification = verify(query_of(kind), [second, first, *rest])
    assert set(verification.faults) == {"order"}


def test_spans_are_disjoint_and_complete() -> None:
    """Each is checked by its own bounds."""
    times = [each.created for each in KNOWN]
    queries = spans(CUSTOMER, times)
    parts = [snapshot().expected(each) for each in queries]
    assert len(queries) == lists.SPANS
    assert sum(len(part) for part in parts) == len(set().union(*parts)) == len(KNOWN)
    assert all(parts)
    first = verify(queries[0], KNOWN)
    assert set(first.faults) == {"state"}


def test_requests_with_one_creation_time_are_in_one_span() -> None:
    """The server rejects a span with equal bounds."""
    queries = spans(CUSTOMER, [5, 5, 5, 5])
    assert [(each.after, each.before) for each in queries] == [(None, 5), (5, None)]


@pytest.mark.parametrize("kind", KINDS)
def test_an_accepted_foreign_token_is_a_fault(kind: str) -> None:
    verification = verify(query_of(kind), good(kind))
    assert verification.verdict(20, 1).passed
    verification.check_token("AQ", query_of(kind), ITEMS.customer_at(1), rejected=False)
    assert not verification.verdict(20, 1).passed
    assert CUSTOMER in verification.faults["token"][0]
    assert ITEMS.customer_at(1) in verification.faults["token"][0]


def test_a_kind_of_list_without_a_tried_token_fails() -> None:
    verification = verify(query_of(lists.ALL), KNOWN)
    search = query_of(lists.SEARCH)
    verification.check(Walk(search, good(lists.SEARCH)), snapshot(), snapshot().expected(search))
    verdict = verification.verdict(20, 1)
    assert not verdict.passed
    assert "No token was rejected by: search." in verdict.sentences


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_of_list_without_expected_entries_fails(kind: str) -> None:
    other = lists.ALL if kind != lists.ALL else lists.FAILED
    verification = verify(query_of(other), good(other))
    empty = replace(query_of(kind), customer=ITEMS.customer_at(1))
    verification.check(Walk(empty), Snapshot({}), set())
    verification.check_token("AQ", empty, CUSTOMER, rejected=True)
    verdict = verification.verdict(20, 1)
    assert not verdict.passed
    assert f"Nothing had to be listed by: {kind}." in verdict.sentences


def test_a_run_without_submits_during_the_walks_fails() -> None:
    verdict = verify(query_of(lists.ALL), KNOWN).verdict(20, 0)
    assert not verdict.passed
    assert "Nothing was submitted during the walks." in verdict.sentences
