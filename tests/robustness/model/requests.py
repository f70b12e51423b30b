"""The promises about the states of a request."""

from collections.abc import Iterator

from robustness.history import OK, Event, Observed, time_of
from robustness.model.record import Record, Recorded, Violation
from robustness.traffic.plan import VERDICTS

PENDING, COMPLETED = "PENDING", "COMPLETED"


def verdict_of(state: Observed) -> str:
    """Return COMPLETED, PENDING, or the failure code."""
    return state.failure or state.state


def is_durable(record: Record, _: Recorded) -> Iterator[Violation]:
    """An acknowledged request has a row, and ends."""
    if not record.accepted or record.expired:
        return
    first = record.accepted[0]
    if record.row is None:
        yield Violation("is_durable", record.id, "acknowledged, and has no row", (first,))
    elif record.row.state == PENDING:
        yield Violation("is_durable", record.id, "never ended", (first, record.row))


def ends(record: Record, _: Recorded) -> Iterator[Violation]:
    """A request with a row ends, also if no caller has its acknowledgement."""
    if not record.accepted and record.row is not None and record.row.state == PENDING:
        yield Violation("ends", record.id, "the row is PENDING", (*record.submits, record.row))


def has_one_content(record: Record, _: Recorded) -> Iterator[Violation]:
    """One id has one content: others are refused, and the same is never refused."""
    first = {submit.content: submit for submit in reversed(record.accepted)}
    if len(first) > 1:
        text = "two contents were accepted"
        yield Violation("has_one_content", record.id, text, tuple(first.values()))
        return
    for submit in record.submits:
        if submit.code == "ALREADY_EXISTS" and submit.content in first:
            text = "the accepted content was refused"
            evidence = (first[submit.content], submit)
            yield Violation("has_one_content", record.id, text, evidence)
    last = record.last
    if last is not None and record.content is None:
        text = "the row has a content that was not accepted"
        yield Violation("has_one_content", record.id, text, (*first.values(), last))


def stays_found(record: Record, _: Recorded) -> Iterator[Violation]:
    """An acknowledged id is never NOT_FOUND."""
    acknowledged = record.acknowledged_at
    for refused in record.refused:
        if (
            refused.code == "NOT_FOUND"
            and refused.rpc in {"GetStatus", "WatchRequest"}
            and acknowledged is not None
            and acknowledged < refused.began
            and not (record.expired and refused.ended > record.expired.began)
        ):
            evidence = (record.accepted[0], refused)
            yield Violation("stays_found", record.id, "acknowledged, then NOT_FOUND", evidence)


def never_goes_back(record: Record, _: Recorded) -> Iterator[Violation]:
    """A revision never goes back, for any caller."""
    highest: Observed | None = None
    for state in record.states:
        earlier = [
            each
            for each in (highest, *record.accepted)
            if each is not None and each.ended < state.began and each.revision > state.revision
        ]
        if earlier:
            text = f"revision {state.revision} after {earlier[0].revision}"
            yield Violation("never_goes_back", record.id, text, (earlier[0], state))
            return
        if highest is None or state.revision > highest.revision:
            highest = state


def is_stable(record: Record, _: Recorded) -> Iterator[Violation]:
    """A state does not change within its revision, and terminal states have even revisions."""
    seen: dict[int, Observed] = {}
    for state in record.states:
        known = seen.setdefault(state.revision, state)
        if _content_of(known) != _content_of(state):
            text = f"revision {state.revision} has two states"
            yield Violation("is_stable", record.id, text, (known, state))
        if (state.state == PENDING) != (state.revision % 2 == 1):
            text = f"{state.state} at revision {state.revision}"
            yield Violation("is_stable", record.id, text, (state,))


def stays_completed(record: Record, _: Recorded) -> Iterator[Violation]:
    """COMPLETED is final."""
    completed = next((each for each in record.states if each.state == COMPLETED), None)
    if completed is None:
        return
    for state in record.states:
        if state.began > completed.ended and state.revision != completed.revision:
            text = f"COMPLETED, then {state.state}"
            yield Violation("stays_completed", record.id, text, (completed, state))
            return
    row = record.row
    if row is not None and (row.state, row.revision) != (COMPLETED, completed.revision):
        text = f"COMPLETED, and the row is {row.state}"
        yield Violation("stays_completed", record.id, text, (completed, row))


def has_right_verdict(record: Record, recorded: Recorded) -> Iterator[Violation]:
    """The end fits the behaviour of the origin: a healthy image never fails, a missing one is NOT_FOUND."""
    last, content = record.last, record.content
    if last is None or content is None or last.state == PENDING:
        return
    verdict = verdict_of(last)
    tolerated = recorded.run.tolerated if recorded.run else ()
    if verdict not in VERDICTS[content.behaviour] and verdict not in tolerated:
        text = f"{verdict}, but the origin is {content.behaviour}"
        yield Violation("has_right_verdict", record.id, text, (content, *_first_and_last(record)))
    if verdict == COMPLETED and last.source_sha256 != content.image_sha256:
        text = "the image is not the one of the origin"
        yield Violation("has_right_verdict", record.id, text, (content, last))


def _first_and_last(record: Record) -> tuple[Observed, ...]:
    """Return the first terminal state, and the last state."""
    terminal = [each for each in record.states if each.state != PENDING]
    return tuple(dict.fromkeys((terminal[0], record.states[-1]))) if terminal else ()


def _content_of(state: Observed) -> tuple[str, ...]:
    return (
        state.customer,
        state.url,
        state.state,
        state.failure,
        state.image_id,
        state.public_url,
        state.sha256,
    )


def was_read_at_the_end(record: Record, _: Recorded) -> Iterator[Violation]:
    """GetStatus answers for each row at the end."""
    if record.row is None or record.expired:
        return
    last = record.last
    if last is None:
        evidence: tuple[Event, ...] = (record.row, *sorted(record.refused, key=time_of)[-1:])
        yield Violation("was_read_at_the_end", record.id, "no answer at the end", evidence)
    elif (last.state, last.revision) != (record.row.state, record.row.revision):
        text = "GetStatus differs from the row"
        yield Violation("was_read_at_the_end", record.id, text, (record.row, last))


def answers_agree(record: Record, _: Recorded) -> Iterator[Violation]:
    """A submit answers with a state that the request had."""
    states = {state.revision: state for state in record.states}
    for submit in record.submits:
        if submit.code == OK and submit.revision in states:
            state = states[submit.revision]
            if state.state != submit.state:
                text = f"the submit said {submit.state} at revision {submit.revision}"
                yield Violation("answers_agree", record.id, text, (submit, state))
