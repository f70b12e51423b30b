"""Folding and suspicion of deliveries."""

from dataclasses import replace

import pytest

from consumer.worker.received_message import ReceivedMessage, dedupe
from core.model.message import ImageMessage

MESSAGE = ImageMessage(request_id="a", customer_id="c", url="http://h/i.png", revision=1)
DELIVERY = ReceivedMessage(MESSAGE, receipts=("r1",), receive_count=1, sent_at=1_000)


def test_a_message_received_once_is_no_suspect() -> None:
    """A first receive means that no run can have died."""
    assert not DELIVERY.suspected
    assert DELIVERY.first


def test_a_message_received_before_is_a_suspect() -> None:
    """Giving back sends anew, so a second receive means that a process died."""
    assert replace(DELIVERY, receive_count=2).suspected


def test_suspicion_survives_giving_back_unrun() -> None:
    """A suspect that was given back before it ran comes back as one."""
    again = replace(DELIVERY, message=MESSAGE.requeued(suspect=True))
    assert again.suspected
    assert not again.first


def test_a_given_back_message_is_not_first_but_no_suspect() -> None:
    """Its row is read before anything is fetched, and it runs beside others."""
    again = replace(DELIVERY, message=MESSAGE.requeued(attempts=2))
    assert not again.suspected
    assert not again.first


def test_duplicates_in_a_batch_become_one_delivery_with_every_receipt() -> None:
    """The most that either copy knows is kept, and both are deleted in the end."""
    other = ReceivedMessage(
        MESSAGE.requeued(attempts=2), receipts=("r2",), receive_count=3, sent_at=500
    )
    (joined,) = dedupe([DELIVERY, other])
    assert joined.receipts == ("r1", "r2")
    assert joined.receive_count == 3
    assert joined.sent_at == 500
    assert joined.message.attempts == 2
    assert joined.message.resent


@pytest.mark.parametrize("other", [replace(MESSAGE, request_id="b"), replace(MESSAGE, revision=3)])
def test_messages_of_other_requests_or_revisions_stay_apart(other: ImageMessage) -> None:
    """Only the same request at the same revision is the same work."""
    assert len(dedupe([DELIVERY, replace(DELIVERY, message=other)])) == 2
