"""The promises about notifications and failed-requests messages."""

from collections.abc import Iterator

from robustness.history import Event, Notified, Observed
from robustness.model.record import Record, Recorded, Violation
from robustness.model.requests import COMPLETED, PENDING, verdict_of


def is_notified(record: Record, _: Recorded) -> Iterator[Violation]:
    """The customer is notified of each terminal revision at least once."""
    last = record.last
    if last is None:
        return
    notified = {each.revision for each in record.notified}
    for revision in range(2, last.revision + 1, 2):
        if revision not in notified:
            shown = [each for each in record.states if each.revision == revision][:1]
            text = f"revision {revision} was not notified"
            evidence: tuple[Event, ...] = (*shown, *record.notified, last)
            yield Violation("is_notified", record.id, text, evidence)


def repeats_are_identical(record: Record, _: Recorded) -> Iterator[Violation]:
    """Repeated notifications of a revision are identical."""
    first: dict[str, Notified] = {}
    for sent in record.notified:
        known = first.setdefault(sent.notification_id, sent)
        if (known.body, known.attributes) != (sent.body, sent.attributes):
            text = f"two notifications {sent.notification_id} differ"
            yield Violation("repeats_are_identical", record.id, text, (known, sent))


def notification_agrees(record: Record, _: Recorded) -> Iterator[Violation]:
    """A notification has the state of its revision."""
    states = {state.revision: state for state in record.states}
    last = record.last
    for sent in record.notified:
        if wrong := _contradiction(sent, states.get(sent.revision)):
            evidence = (sent, states[sent.revision]) if sent.revision in states else (sent,)
            yield Violation("notification_agrees", record.id, wrong, evidence)
        elif last is not None and sent.revision > last.revision:
            text = f"revision {sent.revision} does not exist"
            yield Violation("notification_agrees", record.id, text, (sent, last))
        elif (
            last is not None and sent.revision < last.revision and sent.body["status"] == COMPLETED
        ):
            text = "COMPLETED was notified, and the request went on"
            yield Violation("notification_agrees", record.id, text, (sent, last))


def _contradiction(sent: Notified, state: Observed | None) -> str:
    """Return how a notification differs from itself or from the state of its revision; empty if it does not."""
    body = sent.body
    expected = {
        "customerId": str(body["customerId"]),
        "requestId": sent.id,
        "revision": str(sent.revision),
        "status": str(body["status"]),
    }
    if (sent.attributes, sent.notification_id) != (expected, f"{sent.id}:{sent.revision}"):
        return "the attributes or the notification id differ from the body"
    if state is None:
        return ""
    failure = body.get("failure", {}).get("code", "")
    if (failure or body["status"]) != verdict_of(state):
        return f"notified {failure or body['status']}, and the state is {verdict_of(state)}"
    if (body["customerId"], body["url"]) != (state.customer, state.url):
        return "notified another customer or URL"
    image = (body.get("imageId", ""), body.get("publicUrl", ""))
    if image != (state.image_id, state.public_url):
        return "notified another image"
    return ""


def failure_has_a_record(record: Record, _: Recorded) -> Iterator[Violation]:
    """A FAILED request has its message in the failed-requests queue."""
    last = record.last
    if last is None or record.expired or last.state in {PENDING, COMPLETED}:
        return
    stored = {(each.revision, each.failure) for each in record.failed_requests}
    if (last.revision, last.failure) not in stored:
        text = f"no failed-requests message of revision {last.revision}"
        evidence: tuple[Event, ...] = (last, *record.failed_requests)
        yield Violation("failure_has_a_record", record.id, text, evidence)
