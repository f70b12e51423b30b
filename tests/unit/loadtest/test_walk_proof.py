"""What the proof of walks makes of lists that are right and wrong. Pure."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from imageservice.v1 import image_service_pb2 as pb
from loadtest.walk import lists
from loadtest.walk.items import WalkItems
from loadtest.walk.lists import LARGEST_PAGE, Entry, Question, Walked, spans
from loadtest.walk.proof import Known, Proof

ITEMS = WalkItems(20, 20, 2, ("http://127.0.0.1:1",), "0123456789abcdef01")
CUSTOMER = ITEMS.customer_at(0)
KINDS = {
    lists.ALL: pb.STATE_UNSPECIFIED,
    lists.COMPLETED: pb.STATE_COMPLETED,
    lists.FAILED: pb.STATE_FAILED,
    lists.IMAGES: pb.STATE_UNSPECIFIED,
}


def entry(number: int, state: "pb.State.ValueType" = pb.STATE_COMPLETED) -> Entry:
    """The higher its number, the later it was created."""
    return Entry(ITEMS.request_id(number), ITEMS.customer(number), state, number, number + 100)


KNOWN = [
    entry(number, pb.STATE_FAILED if number % 3 == 0 else pb.STATE_COMPLETED)
    for number in range(18, -1, -2)
]
"""The customer's own, newest first."""


def proof_of(question: Question, entries: Sequence[Entry]) -> Proof:
    proof = Proof(ITEMS)
    proof.look_at(
        Walked(question, list(entries), [0.01]), Known({each.request_id: each for each in KNOWN})
    )
    proof.token("AQ", CUSTOMER, ITEMS.customer_at(1), refused=True)
    return proof


def question_of(kind: str) -> Question:
    return Question(kind, CUSTOMER, LARGEST_PAGE, KINDS[kind])


def good(kind: str) -> list[Entry]:
    state = pb.STATE_COMPLETED if kind == lists.IMAGES else KINDS[kind]
    return [each for each in KNOWN if state in {pb.STATE_UNSPECIFIED, each.state}]


@pytest.mark.parametrize("kind", KINDS)
def test_a_right_list_passes_whatever_came_meanwhile(kind: str) -> None:
    came = entry(22, pb.STATE_FAILED if kind == lists.FAILED else pb.STATE_COMPLETED)
    proof = proof_of(question_of(kind), [came, *good(kind)])
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


@pytest.mark.parametrize("kind", [lists.COMPLETED, lists.FAILED])
def test_one_of_another_state_is_named(kind: str) -> None:
    proof = proof_of(question_of(kind), [*good(kind), entry(0, pb.STATE_PENDING)])
    assert set(proof.faults) == {"state"} | ({"twice"} if kind == lists.FAILED else set())


@pytest.mark.parametrize("kind", KINDS)
def test_an_older_one_before_a_newer_one_is_named(kind: str) -> None:
    first, second, *rest = good(kind)
    proof = proof_of(question_of(kind), [second, first, *rest])
    assert set(proof.faults) == {"order"}


def test_spans_share_none_and_leave_none_out() -> None:
    """Each is judged by its own bounds."""
    times = [each.created for each in KNOWN]
    questions = spans(CUSTOMER, times)
    parts = [Known({e.request_id: e for e in KNOWN}).expected(each) for each in questions]
    assert len(questions) == lists.SPANS
    assert sum(len(part) for part in parts) == len(set().union(*parts)) == len(KNOWN)
    assert all(parts)
    first = proof_of(questions[0], KNOWN)
    assert set(first.faults) == {"state"}


def test_requests_of_one_moment_are_one_span_that_is_not_empty() -> None:
    """Bounds that meet would be refused."""
    questions = spans(CUSTOMER, [5, 5, 5, 5])
    assert [(each.after, each.before) for each in questions] == [(None, 5), (5, None)]


def test_a_token_that_is_taken_is_a_fault() -> None:
    proof = proof_of(question_of(lists.ALL), KNOWN)
    proof.token("AQ", CUSTOMER, ITEMS.customer_at(1), refused=False)
    assert not proof.verdict(20, 1).passed
    assert CUSTOMER in proof.faults["token"][0]


def test_nothing_is_proven_where_there_was_nothing_to_list() -> None:
    """Of a kind of list, or meanwhile."""
    assert not proof_of(question_of(lists.ALL), KNOWN).verdict(20, 0).passed
    proof = proof_of(question_of(lists.ALL), KNOWN)
    nobody = replace(question_of(lists.FAILED), customer=ITEMS.customer_at(1))
    proof.look_at(Walked(nobody), Known({}))
    verdict = proof.verdict(20, 1)
    assert not verdict.passed
    assert "Nothing was there to be listed by: FAILED requests." in verdict.sentences
