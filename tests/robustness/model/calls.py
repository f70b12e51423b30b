"""The promises about errors, and about an outage of AWS."""

from collections import defaultdict
from collections.abc import Iterator

from robustness.history import NO_RESULT, OK, Refused, Submitted
from robustness.model.record import Recorded, Violation

FIRST_ACKNOWLEDGEMENT_S = 1.0
FIRST_NOTIFICATION_S = 10.0
"""Limits after AWS has returned."""
OUTAGE, RETURNED = "AWS is away", "AWS has returned"
_FORBIDDEN = frozenset({"CANCELLED", "INTERNAL", "UNKNOWN"})
_WITH_RETRY = frozenset({"UNAVAILABLE", "RESOURCE_EXHAUSTED"})
_FAILED_WRITE = "Internal error from Core"
_BROKEN_CONNECTION = "UNAVAILABLE"
_NOTICED_S = 3.0
"""A client may notice the end of a process, or its new start, this much later."""

Call = Submitted | Refused


def failed_calls(recorded: Recorded) -> Iterator[Call]:
    """Yield the calls that had an error."""
    for record in recorded.all_records():
        for submit in record.submits:
            if submit.code not in {OK, NO_RESULT}:
                yield submit
    yield from recorded.refused


def is_no_answer(call: Call) -> bool:
    """Return whether the error is the caller's own.

    Its deadline passed; or, on a stream, grpc.aio wrote an item after the server had ended the stream, and reports that
    instead of the server's status.
    """
    if call.reason:
        return False
    failed_write = call.rpc == "SubmitImages" and call.text == _FAILED_WRITE
    return call.code == "DEADLINE_EXCEEDED" or failed_write


def errors_have_details(recorded: Recorded) -> Iterator[Violation]:
    """An error has ErrorInfo, one that passes also RetryInfo, and no caller sees CANCELLED, INTERNAL or UNKNOWN.

    The deadline of the caller is no answer, and neither is a connection to a process that ended.
    """
    absences = server_absences(recorded)
    for call in failed_calls(recorded):
        request_id = call.id if isinstance(call, Submitted) else ""
        if is_no_answer(call):
            continue
        if call.code in _FORBIDDEN:
            text = f"{call.rpc} ended with {call.code}: {call.text}"
        elif not call.reason:
            if call.code == _BROKEN_CONNECTION and _absent(absences[call.server], call):
                continue
            text = f"{call.rpc} ended with {call.code} without a reason: {call.text}"
        elif call.code in _WITH_RETRY and call.retry_after is None:
            text = f"{call.rpc} ended with {call.code} without RetryInfo"
        else:
            continue
        yield Violation("errors_have_details", request_id, text, (call,))


def server_absences(recorded: Recorded) -> dict[str, list[tuple[float, float]]]:
    """Return by server the times at which it was not there: from a signal until it was ready again.

    A killed worker may be the only one that has started. A suspended process keeps its connections.
    """
    absences: dict[str, list[tuple[float, float]]] = defaultdict(list)
    since: dict[str, float] = {}
    for change in recorded.changes:
        if change.change == "ready":
            if change.process in since:
                absences[change.process].append((since.pop(change.process), change.at))
        elif change.change not in {"SIGSTOP", "SIGCONT"}:
            since.setdefault(change.process, change.at)
    for process, began in since.items():
        absences[process].append((began, float("inf")))
    return absences


def _absent(absences: list[tuple[float, float]], call: Call) -> bool:
    return any(
        began - _NOTICED_S < call.ended and call.began < ended + _NOTICED_S
        for began, ended in absences
    )


def outage(recorded: Recorded) -> tuple[float, float] | None:
    """Return the time from which AWS was away, and the time at which it returned."""
    times = {phase.phase: phase.at for phase in recorded.phases}
    return (times[OUTAGE], times[RETURNED]) if OUTAGE in times and RETURNED in times else None


def outage_is_unavailable(recorded: Recorded) -> Iterator[Violation]:
    """While AWS is away, callers see only UNAVAILABLE, or ALREADY_EXISTS for a request that is known."""
    away = outage(recorded)
    if away is None:
        return
    for call in failed_calls(recorded):
        during = away[0] <= call.ended <= away[1] and not is_no_answer(call)
        if during and call.code not in {"UNAVAILABLE", "ALREADY_EXISTS"}:
            text = f"{call.code} {call.reason} while AWS was away"
            yield Violation("outage_is_unavailable", "", text, (call,))


def recovery_times(recorded: Recorded) -> dict[str, float]:
    """Return the seconds from the return of AWS to the first acknowledgement and the first notification."""
    away = outage(recorded)
    if away is None:
        return {}
    accepted = [
        submit.ended
        for record in recorded.all_records()
        for submit in record.accepted
        if submit.ended > away[1]
    ]
    notified = [
        each.at
        for record in recorded.all_records()
        for each in record.notified
        if each.at > away[1]
    ]
    never = float("inf")
    return {
        "acknowledgement": min(accepted, default=never) - away[1],
        "notification": min(notified, default=never) - away[1],
    }


def recovers_soon(recorded: Recorded) -> Iterator[Violation]:
    """The first acknowledgement comes within 1 s after AWS has returned, the first notification within 10 s."""
    limits = {"acknowledgement": FIRST_ACKNOWLEDGEMENT_S, "notification": FIRST_NOTIFICATION_S}
    for name, seconds in recovery_times(recorded).items():
        if seconds > limits[name]:
            text = f"the first {name} came after {seconds:.1f} s"
            yield Violation("recovers_soon", "", text)
