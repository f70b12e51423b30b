"""What the proof of walks makes of lists that are right and wrong. Pure."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from imageservice.v1 import image_service_pb2 as pb
from loadtest.walk import lists
from loadtest.walk.entry import Entry
from loadtest.walk.items import WalkItems
from loadtest.walk.lists import LARGEST_PAGE, Question, spans
from loadtest.walk.pages import Walked
from loadtest.walk.proof import Known, Proof

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
    """The higher its number, the later it was created."""
    image = ("PNG" if number % 4 else "GIF") if state == pb.STATE_COMPLETED else ""
    owner = ITEMS.customer(number)
    return Entry(ITEMS.request_id(number), owner, state, number, number + 100, image)


STATES = (pb.STATE_FAILED, pb.STATE_COMPLETED, pb.STATE_PENDING)
STATE_OF = {number: STATES[number % 3] for number in range(22, -1, -2)}
KNOWN = [entry(number, state) for number, state in STATE_OF.items()]
"""The customer's own, newest first."""


def known(entries: Sequence[Entry] = KNOWN) -> Known:
    return Known({each.request_id: each for each in entries})


def proof_of(question: Question, entries: Sequence[Entry], of: Known | None = None) -> Proof:
    proof, there = Proof(ITEMS), of or known()
    proof.look_at(Walked(question, list(entries), [0.01]), there, there.expected(question))
    proof.token("AQ", question, ITEMS.customer_at(1), refused=True)
    return proof


def question_of(kind: str) -> Question:
    wanted = "PNG" if kind == lists.SEARCH_FORMAT else ""
    return Question(kind, CUSTOMER, LARGEST_PAGE, KINDS[kind], format=wanted)


def good(kind: str) -> list[Entry]:
    state = pb.STATE_COMPLETED if kind in OF_IMAGES else KINDS[kind]
    listed = [each for each in KNOWN if state in {pb.STATE_UNSPECIFIED, each.state}]
    if kind == lists.SEARCH_FORMAT:
        return [each for each in listed if each.format == "PNG"]
    return listed


def late(kind: str, number: int) -> Entry:
    """One more that the list has a place for."""
    state = pb.STATE_COMPLETED if kind in OF_IMAGES else KINDS[kind] or pb.STATE_COMPLETED
    return entry(number, state)


@pytest.mark.parametrize("kind", KINDS)
def test_a_right_list_passes_whatever_came_meanwhile(kind: str) -> None:
    proof = proof_of(question_of(kind), [late(kind, 26), *good(kind)])
    assert proof.verdict(20, 1).passed, proof.faults


@pytest.mark.parametrize("kind", KINDS)
def test_one_that_is_missing_is_named(kind: str) -> None:
    *listed, left_out = good(kind)
    proof = proof_of(question_of(kind), listed)
    assert left_out.request_id in proof.faults["missing"][0]
    assert not proof.verdict(20, 1).passed


@pytest.mark.parametrize("kind", KINDS)
def test_one_that_comes_twice_is_named(kind: str) -> None:
    listed = good(kind)
    proof = proof_of(question_of(kind), [*listed, listed[-1]])
    assert listed[-1].request_id in proof.faults["twice"][0]


@pytest.mark.parametrize(
    "stranger",
    [
        entry(1),
        entry(1)._replace(customer=CUSTOMER),
        entry(2)._replace(customer=ITEMS.customer_at(1)),
        entry(2)._replace(request_id="0f8fad5b-d9cb-469f-a165-70867728950e"),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_a_stranger_is_named(kind: str, stranger: Entry) -> None:
    """Another's, another's under this name, one's own under another's name, and one that nobody submitted."""
    proof = proof_of(question_of(kind), [*good(kind), stranger])
    assert stranger.request_id in proof.faults["stranger"][0]


@pytest.mark.parametrize(
    ("kind", "number", "state"),
    [
        (lists.PENDING, 4, pb.STATE_COMPLETED),
        (lists.COMPLETED, 2, pb.STATE_PENDING),
        (lists.FAILED, 2, pb.STATE_PENDING),
    ],
)
def test_one_of_another_state_is_named(kind: str, number: int, state: "pb.State.ValueType") -> None:
    """In the state that it really has."""
    proof = proof_of(question_of(kind), [*good(kind), entry(number, state)._replace(created=0)])
    assert proof.faults.keys() & {"state", "ended"} == {"state"}
    assert ITEMS.request_id(number) in proof.faults["state"][0]


def test_an_image_of_another_format_is_named() -> None:
    """Where only one is searched for."""
    [other] = [each for each in good(lists.SEARCH) if each.format == "GIF" and each.created < 10]
    found = [*good(lists.SEARCH_FORMAT), other]
    proof = proof_of(question_of(lists.SEARCH_FORMAT), found)
    assert other.request_id in proof.faults["state"][0]
    assert not proof.verdict(20, 1).passed


@pytest.mark.parametrize(
    ("kind", "number"), [(lists.PENDING, 4), (lists.PENDING, 6), (lists.ALL, 4), (lists.ALL, 6)]
)
def test_one_that_is_listed_as_pending_though_it_had_ended_is_named(kind: str, number: int) -> None:
    """COMPLETED or FAILED before the walk, as GetStatus said."""
    assert STATE_OF[number] != pb.STATE_PENDING
    ended = entry(number, pb.STATE_PENDING)
    listed = sorted(
        [*(each for each in good(kind) if each.request_id != ended.request_id), ended],
        key=lambda each: -each.created,
    )
    proof = proof_of(question_of(kind), listed)
    assert set(proof.faults) == {"ended"}
    assert ended.request_id in proof.faults["ended"][0]
    assert not proof.verdict(20, 1).passed


@pytest.mark.parametrize("kind", [lists.ALL, lists.COMPLETED, lists.IMAGES, lists.SEARCH])
def test_one_that_was_pending_before_the_walk_may_be_listed_as_it_ended(kind: str) -> None:
    pending = next(each for each in KNOWN if each.state == pb.STATE_PENDING)
    others = [each for each in good(kind) if each.request_id != pending.request_id]
    ended = pending._replace(state=pb.STATE_COMPLETED)
    proof = proof_of(question_of(kind), sorted([*others, ended], key=lambda each: -each.created))
    assert proof.verdict(20, 1).passed, proof.faults


@pytest.mark.parametrize("kind", OF_IMAGES)
def test_an_image_of_a_request_that_had_failed_is_named(kind: str) -> None:
    """Lists of images tell no state: to be there is to be COMPLETED."""
    failed = next(each for each in KNOWN if each.state == pb.STATE_FAILED)
    image = failed._replace(state=pb.STATE_COMPLETED, format="PNG")
    proof = proof_of(question_of(kind), [image, *good(kind)])
    assert image.request_id in proof.faults["ended"][0]


@pytest.mark.parametrize("times", [0, 1, 2])
def test_one_that_ended_while_pending_ones_were_listed_may_be_listed_once(times: int) -> None:
    """It may have been met or not; the others were PENDING all the while, and are listed once."""
    question, listed = question_of(lists.PENDING), good(lists.PENDING)
    first, *others = listed
    ended = first._replace(state=pb.STATE_COMPLETED)
    judged = known().still(known([ended, *others]))
    proof = proof_of(question, [first] * times + others, of=judged)
    assert proof.proven[lists.PENDING] == len(others)
    assert set(proof.faults) == ({"twice"} if times == 2 else set())
    missing = proof_of(question, [first, *others[1:]], of=judged)
    assert others[0].request_id in missing.faults["missing"][0]


def test_what_had_ended_stays_known_after_pending_ones_were_listed() -> None:
    """Else one that ended before the walk, and is listed as PENDING, would pass for one that ended since."""
    judged = known().still(known(good(lists.PENDING)))
    assert judged.requests == known().requests


def test_what_a_search_must_find_again_is_named_if_it_is_missing() -> None:
    """Nobody else expects it: what is there to be found is told by earlier searches."""
    proof, question = Proof(ITEMS), question_of(lists.SEARCH)
    *listed, lost = good(lists.SEARCH)
    proof.look_at(Walked(question, listed), Known({}), {lost.request_id})
    assert lost.request_id in proof.faults["missing"][0]
    assert proof.proven[lists.SEARCH] == 1


@pytest.mark.parametrize("kind", KINDS)
def test_an_older_one_before_a_newer_one_is_named(kind: str) -> None:
    first, second, *rest = good(kind)
    proof = proof_of(question_of(kind), [second, first, *rest])
    assert set(proof.faults) == {"order"}


def test_spans_share_none_and_leave_none_out() -> None:
    """Each is judged by its own bounds."""
    times = [each.created for each in KNOWN]
    questions = spans(CUSTOMER, times)
    parts = [known().expected(each) for each in questions]
    assert len(questions) == lists.SPANS
    assert sum(len(part) for part in parts) == len(set().union(*parts)) == len(KNOWN)
    assert all(parts)
    first = proof_of(questions[0], KNOWN)
    assert set(first.faults) == {"state"}


def test_requests_of_one_moment_are_one_span_that_is_not_empty() -> None:
    """Bounds that meet would be refused."""
    questions = spans(CUSTOMER, [5, 5, 5, 5])
    assert [(each.after, each.before) for each in questions] == [(None, 5), (5, None)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_token_that_is_taken_is_a_fault(kind: str) -> None:
    proof = proof_of(question_of(kind), good(kind))
    assert proof.verdict(20, 1).passed
    proof.token("AQ", question_of(kind), ITEMS.customer_at(1), refused=False)
    assert not proof.verdict(20, 1).passed
    assert CUSTOMER in proof.faults["token"][0]
    assert ITEMS.customer_at(1) in proof.faults["token"][0]


def test_a_kind_of_list_whose_tokens_nobody_tried_is_not_proven() -> None:
    proof = proof_of(question_of(lists.ALL), KNOWN)
    search = question_of(lists.SEARCH)
    proof.look_at(Walked(search, good(lists.SEARCH)), known(), known().expected(search))
    verdict = proof.verdict(20, 1)
    assert not verdict.passed
    assert "No token was refused for another's list by: search." in verdict.sentences


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_proven_where_there_was_nothing_to_list(kind: str) -> None:
    """Of any kind of list."""
    other = lists.ALL if kind != lists.ALL else lists.FAILED
    proof = proof_of(question_of(other), good(other))
    nobody = replace(question_of(kind), customer=ITEMS.customer_at(1))
    proof.look_at(Walked(nobody), Known({}), set())
    proof.token("AQ", nobody, CUSTOMER, refused=True)
    verdict = proof.verdict(20, 1)
    assert not verdict.passed
    assert f"Nothing was there to be listed by: {kind}." in verdict.sentences


def test_nothing_is_proven_where_nothing_came_meanwhile() -> None:
    verdict = proof_of(question_of(lists.ALL), KNOWN).verdict(20, 0)
    assert not verdict.passed
    assert "Nothing came during the walks." in verdict.sentences
