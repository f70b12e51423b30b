"""The decision about a message in the DLQ."""

from dataclasses import replace

import pytest

from consumer.jobs.dlq import DlqAction, dlq_action
from core.model.message import first_message
from core.model.request import ImageRequest, State, new_request

REQUEST = new_request(
    request_id="2f1c1d4e-7f0a-4a53-9d0e-0b0f6f1f3b11",
    customer_id="acme",
    url="http://h/i",
    labels={},
    now=1_000,
)
MESSAGE = first_message(REQUEST)


@pytest.mark.parametrize(
    ("request_", "from_dlq", "action"),
    [
        (REQUEST, False, DlqAction.SEND_BACK),
        (REQUEST, True, DlqAction.FAIL),
        (replace(REQUEST, claims=4), False, DlqAction.SEND_BACK),
        (replace(REQUEST, claims=5), False, DlqAction.FAIL),
        (replace(REQUEST, state=State.COMPLETED, revision=2), False, DlqAction.NOTIFY_AGAIN),
        (replace(REQUEST, state=State.FAILED, revision=2), True, DlqAction.NOTIFY_AGAIN),
        (replace(REQUEST, revision=3), True, DlqAction.NOTIFY_AGAIN),
        (replace(REQUEST, customer_id="globex"), False, DlqAction.NOTIFY_AGAIN),
        (None, False, DlqAction.NOTIFY_AGAIN),
    ],
)
def test_a_message_goes_back_once_while_its_request_is_open(
    request_: ImageRequest | None, *, from_dlq: bool, action: DlqAction
) -> None:
    """Then its request fails; the claims are the bound if a consumer of an older version drops the mark."""
    message = replace(MESSAGE, from_dlq=from_dlq)
    assert dlq_action(message, request_, max_claims=5) is action


def test_a_message_that_goes_back_is_suspected_and_marked() -> None:
    """It also keeps its attempts and the time since which its customer waits."""
    message = replace(MESSAGE, attempts=2)
    expected = replace(message, resent=True, suspect=True, from_dlq=True)
    assert message.sent_back() == expected


def test_the_mark_survives_a_requeue() -> None:
    """Also that of a message that is not suspected any more."""
    assert MESSAGE.sent_back().requeued(attempts=1, suspect=False).from_dlq
