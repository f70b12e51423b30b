"""Suspicion and deduplication of received messages."""

from dataclasses import replace

import pytest

from consumer.worker.received_message import ReceivedMessage, dedupe
from core.model.message import ImageMessage

MESSAGE = ImageMessage(request_id="a", customer_id="c", url="http://h/i.png", revision=1)
RECEIVED = ReceivedMessage(MESSAGE, receipts=("r1",), receive_count=1, sent_at=1_000)


def test_a_message_received_once_is_not_suspected() -> None:
    """No earlier run can have killed its process."""
    assert not RECEIVED.suspected
    assert RECEIVED.first


def test_a_message_received_before_is_suspected() -> None:
    """A requeue sends a new message, so a second receive means that a process died."""
    assert replace(RECEIVED, receive_count=2).suspected


def test_a_suspected_message_stays_suspected_when_requeued() -> None:
    """It was requeued before its image was decoded alone."""
    requeued = replace(RECEIVED, message=MESSAGE.requeued(suspect=True))
    assert requeued.suspected
    assert not requeued.first


def test_a_requeued_message_is_neither_first_nor_suspected() -> None:
    """Its row is read before anything is fetched, and it is processed beside others."""
    requeued = replace(RECEIVED, message=MESSAGE.requeued(attempts=2))
    assert not requeued.suspected
    assert not requeued.first


def test_duplicates_in_a_batch_become_one_message_with_every_receipt() -> None:
    """It has the greater counts of both copies, and both are deleted at the end."""
    other = ReceivedMessage(
        replace(MESSAGE.requeued(attempts=2, expensive=True), from_dlq=True),
        receipts=("r2",),
        receive_count=3,
        sent_at=500,
    )
    (joined,) = dedupe([RECEIVED, other])
    assert joined.receipts == ("r1", "r2")
    assert joined.receive_count == 3
    assert joined.sent_at == 500
    assert joined.message.attempts == 2
    assert joined.message.resent
    assert joined.message.from_dlq
    assert joined.message.expensive


@pytest.mark.parametrize("other", [replace(MESSAGE, request_id="b"), replace(MESSAGE, revision=3)])
def test_messages_of_other_requests_or_revisions_stay_apart(other: ImageMessage) -> None:
    """Only messages of one request at one revision are duplicates."""
    assert len(dedupe([RECEIVED, replace(RECEIVED, message=other)])) == 2


def test_two_calls_of_create_renditions_stay_apart() -> None:
    """They ask for different presets of one image; a copy of one of them is a duplicate."""
    one = replace(RECEIVED, message=replace(MESSAGE, image_id="i", renditions="one"))
    two = replace(RECEIVED, message=replace(MESSAGE, image_id="i", renditions="two"))
    assert len(dedupe([one, two, one])) == 2


def test_only_a_copy_that_was_received_once_needs_no_end() -> None:
    """One that was received before may have ended its request. So may a message that was merged with it."""
    copy = replace(RECEIVED, message=MESSAGE.as_copy())
    assert copy.needs_no_end
    assert not RECEIVED.needs_no_end
    assert not replace(copy, receive_count=2).needs_no_end
    (merged,) = dedupe([copy, RECEIVED])
    assert not merged.needs_no_end
    assert not MESSAGE.as_copy().requeued().copy
    assert MESSAGE.as_copy().requeued(copy=True).copy
    assert not MESSAGE.as_copy().sent_back().copy
