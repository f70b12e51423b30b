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
    for told in record.notified:
        known = first.setdefault(told.notification_id, told)
        if (known.body, known.attributes) != (told.body, told.attributes):
            text = f"two notifications {told.notification_id} differ"
            yield Violation("repeats_are_identical", record.id, text, (known, told))


def notification_agrees(record: Record, _: Recorded) -> Iterator[Violation]:
    """A notification tells the state of its revision."""
    states = {state.revision: state for state in record.states}
    last = record.last
    for told in record.notified:
        if wrong := _contradiction(told, states.get(told.revision)):
            evidence = (told, states[told.revision]) if told.revision in states else (told,)
            yield Violation("notification_agrees", record.id, wrong, evidence)
        elif last is not None and told.revision > last.revision:
            text = f"revision {told.revision} does not exist"
            yield Violation("notification_agrees", record.id, text, (told, last))
        elif (
            last is not None and told.revision < last.revision and told.body["status"] == COMPLETED
        ):
            text = "COMPLETED was notified, and the request went on"
            yield Violation("notification_agrees", record.id, text, (told, last))


def _contradiction(told: Notified, state: Observed | None) -> str:
    """Return how a notification differs from itself or from the state of its revision; empty if it does not."""
    body = told.body
    expected = {
        "customerId": str(body["customerId"]),
        "requestId": told.id,
        "revision": str(told.revision),
        "status": str(body["status"]),
    }
    if (told.attributes, told.notification_id) != (expected, f"{told.id}:{told.revision}"):
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
