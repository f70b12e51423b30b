"""Each rule of the model finds a violation that was planted in a correct history, so the model can fail."""

from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest

from robustness.correct_history import (
    DONE,
    GONE,
    IMAGE,
    OTHER,
    accepted,
    completed,
    correct,
    failed,
    notified,
    object_read,
    pending,
    planned,
    refused,
    submitted,
)
from robustness.history import (
    Event,
    Expired,
    FailedRequestStored,
    ImageRead,
    ImageStored,
    ObjectSeen,
    PhaseBegan,
    ProcessChanged,
    RowStored,
    RunStarted,
    StreamEnded,
    Submitted,
    Walked,
    WatchEnded,
    decode,
    encode,
)
from robustness.model.calls import OUTAGE, RETURNED
from robustness.model.validate import HISTORY_RULES, RECORD_RULES, violations
from robustness.runs import RUNS


def without(*removed: Event) -> list[Event]:
    assert all(event in correct() for event in removed)
    return [event for event in correct() if event not in removed]


def instead(old: Event, new: Event) -> list[Event]:
    assert old in correct()
    return [new if event == old else event for event in correct()]


def also(*added: Event) -> list[Event]:
    return [*correct(), *added]


ROW = RowStored(20, DONE, "COMPLETED", 2)
FINAL_DONE, FINAL_GONE = completed(21, final=True), failed(21, final=True)

PLANTED: dict[str, tuple[str, Callable[[], Iterable[Event]]]] = {
    "an acknowledged request has no row": ("is_durable", lambda: without(ROW)),
    "an acknowledged request is PENDING at the end": (
        "is_durable",
        lambda: instead(ROW, RowStored(20, DONE, "PENDING", 1)),
    ),
    "a request without acknowledgement is PENDING at the end": (
        "ends",
        lambda: [
            *without(accepted(DONE)),
            RowStored(20, DONE, "PENDING", 1),
        ],
    ),
    "two contents are accepted": (
        "has_one_content",
        lambda: also(accepted(DONE, 4, content=1)),
    ),
    "the accepted content is refused": (
        "has_one_content",
        lambda: also(
            Submitted(4, 4.1, DONE, 0, "SubmitImage", "server0", "ALREADY_EXISTS", "REUSED")
        ),
    ),
    "the row has another content": (
        "has_one_content",
        lambda: instead(FINAL_DONE, completed(21, final=True, url=OTHER)),
    ),
    "an acknowledged id is NOT_FOUND": (
        "stays_found",
        lambda: also(refused(4, "GetStatus", "NOT_FOUND", DONE, reason="REQUEST_NOT_FOUND")),
    ),
    "a caller reads an older revision than another before": (
        "never_goes_back",
        lambda: also(pending(DONE, 10)),
    ),
    "a caller reads an older revision than a submit before": (
        "never_goes_back",
        lambda: also(accepted(DONE, 2.2, state="COMPLETED", revision=2)),
    ),
    "a failure code changes": (
        "is_stable",
        lambda: also(failed(10, failure="TIMEOUT")),
    ),
    "an image changes": ("is_stable", lambda: also(completed(10, image_id="image-2"))),
    "a terminal state has an odd revision": (
        "is_stable",
        lambda: also(failed(10, revision=3)),
    ),
    "COMPLETED is reopened": (
        "stays_completed",
        lambda: also(pending(DONE, 10, revision=3)),
    ),
    "a healthy image fails": (
        "has_right_verdict",
        lambda: instead(planned(GONE, behaviour="missing"), planned(GONE)),
    ),
    "a harmless image is CRASHED": (
        "has_right_verdict",
        lambda: instead(FINAL_GONE, failed(21, final=True, failure="CRASHED")),
    ),
    "another image is published": (
        "has_right_verdict",
        lambda: instead(FINAL_DONE, completed(21, final=True, source_sha256="b" * 64)),
    ),
    "a row has no answer at the end": (
        "was_read_at_the_end",
        lambda: without(FINAL_GONE),
    ),
    "a submit answers with a state that did not exist": (
        "answers_agree",
        lambda: also(accepted(DONE, 4, state="FAILED", revision=2)),
    ),
    "a terminal revision is not notified": (
        "is_notified",
        lambda: without(notified(GONE, 3.5)),
    ),
    "repeated notifications differ": (
        "repeats_are_identical",
        lambda: also(notified(DONE, 4, metadata={"width": 1})),
    ),
    "a notification tells another state": (
        "notification_agrees",
        lambda: instead(notified(GONE, 3.5), notified(GONE, 3.5, failure={"code": "TIMEOUT"})),
    ),
    "a notification tells another image": (
        "notification_agrees",
        lambda: instead(notified(DONE, 3.5), notified(DONE, 3.5, imageId="image-2")),
    ),
    "a revision that does not exist is notified": (
        "notification_agrees",
        lambda: also(notified(GONE, 4, revision=4)),
    ),
    "attributes differ from the body": (
        "notification_agrees",
        lambda: also(replace(notified(DONE, 4), attributes={"status": "FAILED"})),
    ),
    "a FAILED request has no failed-requests message": (
        "failure_has_a_record",
        lambda: without(FailedRequestStored(31, GONE, 2, "NOT_FOUND")),
    ),
    "a request has two image records": (
        "has_one_image",
        lambda: also(ImageStored(20, "image-2", DONE)),
    ),
    "a COMPLETED request has no image record": (
        "has_one_image",
        lambda: without(ImageStored(20, IMAGE, DONE)),
    ),
    "GetImage shows the image of a FAILED request": (
        "shows_no_other_image",
        lambda: also(ImageRead(23, 23.1, "image-2", GONE, found=True)),
    ),
    "GetImage does not find an image": (
        "shows_no_other_image",
        lambda: also(ImageRead(24, 24.1, IMAGE, DONE, found=False, final=True)),
    ),
    "an object does not exist": (
        "object_is_published",
        lambda: instead(object_read(), object_read(status=404)),
    ),
    "an object has other bytes than its record": (
        "object_is_published",
        lambda: instead(object_read(), object_read(sha256="b" * 64)),
    ),
    "an object changes": (
        "objects_never_change",
        lambda: also(ObjectSeen(6, "images/1.png", "2", 9)),
    ),
    "a list has a request twice": (
        "lists_have_no_repeats",
        lambda: also(Walked(6, 6.1, "requests", "acme", (DONE, GONE, DONE))),
    ),
    "a list misses an acknowledged request during the traffic": (
        "lists_are_complete",
        lambda: also(Walked(6, 6.1, "requests", "acme", (DONE,))),
    ),
    "a list of failures has a COMPLETED request": (
        "lists_are_right",
        lambda: also(Walked(22, 22.1, "failed", "acme", (GONE, DONE), final=True)),
    ),
    "a search misses an image": (
        "lists_are_right",
        lambda: also(Walked(22, 22.1, "search", "acme", (), final=True)),
    ),
    "a list shows the image of a FAILED request": (
        "lists_show_no_other_image",
        lambda: also(Walked(6, 6.1, "images", "acme", (DONE, GONE))),
    ),
    "a watch sends a revision twice": (
        "watches_rise",
        lambda: also(completed(3.1, watch=1)),
    ),
    "a watch ends before a request": (
        "watches_rise",
        lambda: also(pending(DONE, 2.5, watch=2), WatchEnded(2.4, 2.7, 2, "server0", (DONE,))),
    ),
    "an item of a stream has no result": (
        "streams_are_complete",
        lambda: also(StreamEnded(1, 1.2, "server0", "OK", ("1", "2"), ("1",))),
    ),
    "an item of a broken stream has two results": (
        "streams_are_complete",
        lambda: also(StreamEnded(1, 1.2, "server0", "UNAVAILABLE", ("1", "2"), ("1", "1"))),
    ),
    "a caller sees CANCELLED": (
        "errors_have_details",
        lambda: also(submitted(DONE, 4, code="CANCELLED")),
    ),
    "an error has no reason": (
        "errors_have_details",
        lambda: also(submitted(DONE, 4, code="UNAVAILABLE", text="Socket closed")),
    ),
    "UNAVAILABLE has no RetryInfo": (
        "errors_have_details",
        lambda: also(refused(4, "GetStatus", "UNAVAILABLE", DONE, reason="SERVER_DRAINING")),
    ),
    "RESOURCE_EXHAUSTED while AWS is away": (
        "outage_is_unavailable",
        lambda: also(
            PhaseBegan(5, OUTAGE),
            submitted(DONE, 6, code="RESOURCE_EXHAUSTED", reason="OVERLOADED", retry_after=1.0),
            PhaseBegan(7, RETURNED),
            accepted(DONE, 7.1),
            notified(DONE, 7.2),
        ),
    ),
    "nothing is acknowledged for a long time after AWS has returned": (
        "recovers_soon",
        lambda: also(
            PhaseBegan(5, OUTAGE),
            PhaseBegan(7, RETURNED),
            accepted(DONE, 9, state="COMPLETED", revision=2),
            notified(DONE, 9),
        ),
    ),
}


def test_a_correct_history_has_no_violation() -> None:
    assert violations(correct()) == []


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_violation_is_found(name: str) -> None:
    rule, history = PLANTED[name]
    found = [violation for violation in violations(history()) if violation.rule == rule]
    assert found, name
    assert found[0].evidence or rule == "recovers_soon"


def test_each_rule_has_a_planted_violation() -> None:
    rules = {rule.__name__ for rule in (*RECORD_RULES, *HISTORY_RULES)}
    assert {rule for rule, _ in PLANTED.values()} == rules


@pytest.mark.parametrize("event", correct(), ids=lambda event: type(event).__name__)
def test_an_event_is_read_as_it_was_written(event: Event) -> None:
    assert decode(encode(event)) == event


def test_a_process_that_is_away_gives_no_answer() -> None:
    """A broken connection is an error of the service only while its process runs."""
    during = submitted(DONE, 6.0, code="UNAVAILABLE", text="Socket closed")
    signals = (ProcessChanged(5.9, "server0", "SIGKILL"), ProcessChanged(9.0, "server0", "ready"))
    assert violations(also(during, *signals)) == []
    assert violations(also(during))


@pytest.mark.parametrize(
    "error",
    [
        submitted(DONE, 6.0, code="DEADLINE_EXCEEDED"),
        refused(6.0, "SubmitImages", "INTERNAL", text="Internal error from Core"),
    ],
)
def test_an_error_of_the_caller_is_no_answer(error: Event) -> None:
    assert violations(also(error)) == []


def test_a_tolerated_failure_is_no_violation() -> None:
    history = instead(planned(GONE, behaviour="missing"), planned(GONE))
    tolerant = RunStarted(0, "A", 1, {}, tolerated=("NOT_FOUND",))
    assert (
        violations([tolerant if isinstance(each, RunStarted) else each for each in history]) == []
    )


@pytest.mark.parametrize("name", RUNS)
def test_no_run_tolerates_crashed(name: str) -> None:
    """No image of a run ends a decoder."""
    assert "CRASHED" not in RUNS[name].tolerated


def test_an_expired_id_may_be_used_again() -> None:
    """The rules hold for each use of the id. A server may know the expired request for a while."""
    again: list[Event] = [
        Expired(12, 12.1, GONE),
        failed(12.2),
        accepted(GONE, 13, content=1),
        pending(GONE, 14, url=OTHER),
        notified(GONE, 15.5, url=OTHER),
    ]
    history = instead(FINAL_GONE, failed(21, final=True, url=OTHER))
    history.insert(5, planned(GONE, 1, url=OTHER, behaviour="missing"))
    middle = history.index(ROW)
    assert violations([*history[:middle], *again, *history[middle:]]) == []
    assert violations([*history[:middle], *again[:-1], *history[middle:]])
