"""The state machine of a request: tables, and a model of all that act on it."""

import uuid
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from core.model.image import image_id_of, reused_image_id
from core.model.message import (
    ImageMessage,
    decode_message,
    encode_first_message,
    first_message,
)
from core.model.request import (
    FIRST_REVISION,
    Failure,
    ImageRequest,
    MessageStatus,
    ResubmitResult,
    State,
    compare_resubmit,
    customer_shard,
    message_status,
    new_request,
    next_revision,
    notification_id,
    payload_hash,
)

REQUEST_ID = "0b8f4a5e-7a59-4c39-9d0f-3c3a9b0a1f11"
NEW = new_request(
    request_id=REQUEST_ID, customer_id="acme", url="https://a.example/1", labels={}, now=1
)


@pytest.mark.parametrize(
    ("state", "revision", "message_revision", "expected"),
    [
        (State.PENDING, 1, 1, MessageStatus.OPEN),
        (State.PENDING, 3, 3, MessageStatus.OPEN),
        (State.PENDING, 3, 1, MessageStatus.STALE),
        (State.PENDING, 1, 3, MessageStatus.STALE),
        (State.COMPLETED, 2, 1, MessageStatus.ENDED),
        (State.FAILED, 2, 1, MessageStatus.ENDED),
        (State.COMPLETED, 4, 3, MessageStatus.ENDED),
        (State.COMPLETED, 4, 1, MessageStatus.STALE),
        (State.FAILED, 2, 2, MessageStatus.STALE),
        (State.FAILED, 2, 3, MessageStatus.STALE),
    ],
)
def test_a_message_has_an_effect_only_at_its_revision(
    state: State, revision: int, message_revision: int, expected: MessageStatus
) -> None:
    """The row's state and both revisions decide."""
    assert (
        message_status(replace(NEW, state=state, revision=revision), message_revision) is expected
    )


def test_a_message_without_a_row_is_unknown() -> None:
    """The row was deleted or has expired."""
    assert message_status(None, 1) is MessageStatus.UNKNOWN


@pytest.mark.parametrize(
    ("existing", "expected"),
    [
        (NEW, ResubmitResult.UNFINISHED),
        (replace(NEW, revision=3), ResubmitResult.UNFINISHED),
        (replace(NEW, state=State.COMPLETED, revision=2), ResubmitResult.FINISHED),
        (replace(NEW, state=State.FAILED, revision=2), ResubmitResult.FINISHED),
        (replace(NEW, payload_hash="other"), ResubmitResult.CONFLICT),
        (replace(NEW, payload_hash="other", state=State.COMPLETED), ResubmitResult.CONFLICT),
    ],
)
def test_content_and_state_decide_about_a_repeated_id(
    existing: ImageRequest, expected: ResubmitResult
) -> None:
    """Different content is a conflict in any state. The same content is sent again only while PENDING."""
    assert compare_resubmit(existing, replace(NEW, created_at=99, updated_at=99)) is expected


@pytest.mark.parametrize(
    ("customer_id", "url", "labels"),
    [
        ("acme2", "https://a.example/1", {"a": "b"}),
        ("acme", "https://a.example/2", {"a": "b"}),
        ("acme", "https://a.example/1", {}),
        ("acme", "https://a.example/1", {"a": "c"}),
        ("acme", "https://a.example/1", {"b": "a"}),
    ],
)
def test_each_part_of_the_content_changes_its_hash(
    customer_id: str, url: str, labels: dict[str, str]
) -> None:
    """Customer, URL and labels are all part of it."""
    assert payload_hash(customer_id, url, labels) != payload_hash(
        "acme", "https://a.example/1", {"a": "b"}
    )


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=5), min_size=2, max_size=5))
def test_the_order_of_labels_does_not_matter(labels: dict[str, str]) -> None:
    """A map has no order."""
    backwards = dict(reversed(labels.items()))
    assert payload_hash("acme", "u", labels) == payload_hash("acme", "u", backwards)


def test_ids_are_derived_from_the_request() -> None:
    """The image's id is always the same, and different from that of another request."""
    other = str(uuid.UUID(int=7))
    assert image_id_of(REQUEST_ID) == image_id_of(REQUEST_ID) != image_id_of(other)
    assert image_id_of(REQUEST_ID) == str(uuid.uuid5(uuid.UUID(REQUEST_ID), "image"))
    assert notification_id(REQUEST_ID, 2) == f"{REQUEST_ID}:2"


def test_a_later_request_with_the_same_id_has_another_image() -> None:
    """Its id depends on the time of creation."""
    now = 1_700_000_000_000
    ids = {reused_image_id(REQUEST_ID, created_at) for created_at in (now, now, now + 1)}
    assert len(ids) == 2
    assert image_id_of(REQUEST_ID) not in ids
    assert {uuid.UUID(each).version for each in ids} == {5}


@given(st.uuids().map(str), st.integers(1, 50))
def test_a_shard_is_below_the_number_of_shards(request_id: str, shards: int) -> None:
    """The index key has the customer and the shard, always the same one."""
    customer, _, shard = customer_shard("a#b", request_id, shards).rpartition("#")
    assert customer == "a#b"
    assert 0 <= int(shard) < shards
    assert customer_shard("a#b", request_id, shards).endswith(f"#{shard}")


class RequestLifecycle(RuleBasedStateMachine):
    """One request, workers that may stall between reading and writing, callers and operators.

    The row changes only as core.dynamodb.statements allows: by the state and revision that each write requires.
    """

    held = Bundle("held")
    """Messages that a worker found OPEN and processes, for any time."""

    def __init__(self) -> None:
        super().__init__()
        self.row = NEW
        self.queue = [first_message(NEW)]
        self.outcomes: dict[int, State] = {}
        self.history = [(State.PENDING, FIRST_REVISION)]

    def write(self, required: tuple[State, int], state: State, failure: Failure | None) -> bool:
        """Change the row if it has the required state and revision."""
        if (self.row.state, self.row.revision) != required:
            return False
        revision = next_revision(self.row.revision)
        self.row = replace(self.row, state=state, revision=revision, failure=failure)
        self.history.append((state, revision))
        if self.row.terminal:
            self.outcomes[revision] = state
        return True

    @rule()
    def submit_again(self) -> None:
        if compare_resubmit(self.row, NEW) is ResubmitResult.UNFINISHED:
            self.queue.append(first_message(self.row).requeued())

    @rule(target=held, at=st.integers(0, 20))
    def receive(self, at: int) -> ImageMessage:
        """Deliver any message, in any order. It stays in the queue, as without acknowledgement."""
        message = decode_message(self.queue[at % len(self.queue)].encode())
        match message_status(self.row, message.revision):
            case MessageStatus.ENDED:
                assert next_revision(message.revision) in self.outcomes
            case MessageStatus.STALE:
                assert message.revision < self.row.revision
        return message

    @rule(message=consumes(held), completes=st.booleans())
    def end(self, message: ImageMessage, *, completes: bool) -> None:
        """End the request, at any later time."""
        open_now = message_status(self.row, message.revision) is MessageStatus.OPEN
        state = State.COMPLETED if completes else State.FAILED
        failure = None if completes else Failure("NOT_FOUND", "gone")
        assert self.write((State.PENDING, message.revision), state, failure) == open_now

    @rule()
    def retry_failed(self) -> None:
        failed = self.row.revision
        if self.write((State.FAILED, failed), State.PENDING, None):
            self.queue.append(first_message(self.row).requeued())

    @invariant()
    def revisions_rise_by_one(self) -> None:
        assert [revision for _, revision in self.history] == list(range(1, self.row.revision + 1))

    @invariant()
    def terminal_states_change_only_by_retry_failed(self) -> None:
        for (before, _), (after, _) in zip(self.history, self.history[1:], strict=False):
            assert (before, after) in {
                (State.PENDING, State.COMPLETED),
                (State.PENDING, State.FAILED),
                (State.FAILED, State.PENDING),
            }

    @invariant()
    def a_pending_request_has_a_message_that_can_end_it(self) -> None:
        if not self.row.terminal:
            assert any(
                message_status(self.row, m.revision) is MessageStatus.OPEN for m in self.queue
            )

    @invariant()
    def only_messages_of_the_last_revision_see_the_outcome(self) -> None:
        if self.row.terminal:
            for message in self.queue:
                ended = message_status(self.row, message.revision) is MessageStatus.ENDED
                assert ended == (message.revision == self.row.revision - 1)


TestRequestLifecycle = RequestLifecycle.TestCase
TestRequestLifecycle.__doc__ = (
    "In every order of actions of callers, workers and operators, each revision has one outcome."
)


def test_the_payload_hash_of_a_submit_without_renditions_is_that_of_earlier_versions() -> None:
    """A submit that is repeated across the upgrade matches the stored row. With renditions the hash differs."""
    stored = "5e19d9bd7f45d3159b69933b513f25f3"
    submit = "acme", "https://a.example/1", {"shop": "1"}
    assert payload_hash(*submit) == payload_hash(*submit, ()) == stored
    assert payload_hash(*submit, ("one", "two")) == payload_hash(*submit, ("two", "one"))
    assert len({stored, payload_hash(*submit, ("one",)), payload_hash(*submit, ("two",))}) == 3


def test_the_payload_hash_covers_the_terms_of_the_fetch() -> None:
    """Each only if it is set: a submit without them has the hash of earlier versions."""
    submit = "acme", "https://a.example/1", {"shop": "1"}
    hashes = [
        payload_hash(*submit, not_after=not_after, reuse_within=reuse_within)
        for not_after in (0, 1, 2)
        for reuse_within in (0, 1, 2)
    ]
    assert hashes[0] == payload_hash(*submit)
    assert len(set(hashes)) == len(hashes)


def test_the_first_message_has_the_terms_of_the_fetch() -> None:
    """So a worker needs no row to apply them. A message of an earlier server has none."""
    request = replace(NEW, not_after=5, reuse_within=7)
    message = decode_message(first_message(request).encode())
    assert (message.not_after, message.reuse_within) == (5, 7)
    assert message.requeued() == replace(message, resent=True)
    older = f'{{"request_id": "{REQUEST_ID}", "customer_id": "acme", "url": "u", "revision": 1}}'
    assert (decode_message(older).not_after, decode_message(older).reuse_within) == (0, 0)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"revision": 3, "updated_at": 5_000},
        {"renditions": ("one", "two")},
        {"not_after": 5},
        {"reuse_within": 7},
    ],
)
def test_a_submit_sends_the_first_message(change: dict[str, Any]) -> None:
    """It is encoded without an object, member by member."""
    request = replace(NEW, **change)
    assert encode_first_message(request) == first_message(request).encode()


def test_the_row_restores_what_a_message_lost() -> None:
    """A worker of an earlier version drops members that it does not know when it requeues the message."""
    request = replace(NEW, not_after=5, reuse_within=7, renditions=("a", "b"))
    message = first_message(request)
    lost = replace(message, not_after=0, reuse_within=0, renditions="")
    assert lost.restored(request) == message
    assert message.restored(None) is message
