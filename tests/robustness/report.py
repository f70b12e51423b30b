"""The figures of a run, and an excerpt of the history for each violation."""

import dataclasses
from collections import Counter
from collections.abc import Iterator
from typing import Any

from robustness.history import Event, time_of
from robustness.model.calls import failed_calls, recovery_times
from robustness.model.record import Recorded, Violation
from robustness.model.requests import PENDING, verdict_of

HIT, NOT_HIT = "failpoints hit", "failpoints not hit"
_SHOWN = 3
"""Violations of one rule that are printed."""


def figures(recorded: Recorded, violations: list[Violation]) -> dict[str, Any]:
    """Return the figures of a run as JSON."""
    records = list(recorded.all_records())
    last = [record.last for record in records]
    verdicts = Counter(verdict_of(state) for state in last if state)
    fetches: dict[str, int] = {}
    for record in records:
        if content := record.contents.get(0):
            count = recorded.fetches.get(record.id, 0)
            fetches[content.behaviour] = max(count, fetches.get(content.behaviour, 0))
    distinct = {sent.notification_id for record in records for sent in record.notified}
    signals = Counter(each.change for each in recorded.changes if each.change.startswith("SIG"))
    return {
        "requests": len(records),
        "submits": sum(len(record.submits) for record in records),
        "acknowledged": sum(bool(record.accepted) for record in records),
        "lost": sum(violation.rule == "is_durable" for violation in violations),
        "unfinished": sum(state.state == PENDING for state in last if state),
        "verdicts": dict(verdicts),
        "crashed": verdicts["CRASHED"],
        "notified revisions": len(distinct),
        "repeated notifications": sum(len(record.notified) for record in records) - len(distinct),
        "observations": sum(len(record.observed) for record in records),
        "watches that ended OK": len(recorded.watches),
        "walks": dict(Counter(walk.list for walk in recorded.walks)),
        "objects": len({seen.key for seen in recorded.objects}),
        "most fetches of one id": fetches,
        "rows that seem to end before they began": sum(
            record.row is not None and record.row.lasted_ms < 0 for record in records
        ),
        "signals": dict(signals),
        "errors": _errors(recorded),
        "recovery in seconds": recovery_times(recorded),
        "operators": _operators(recorded),
        "failpoints": _failpoints(recorded),
        **recorded.counts,
        "violations": dict(Counter(violation.rule for violation in violations)),
    }


def _errors(recorded: Recorded) -> dict[str, int]:
    counts = Counter(
        f"{call.rpc} {call.code} {call.reason or 'without reason'}"
        for call in failed_calls(recorded)
    )
    return dict(counts.most_common())


def _operators(recorded: Recorded) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for ran in recorded.operators:
        counts[f"{ran.command[0]} {'killed' if ran.code is None else f'exit {ran.code}'}"] += 1
    return dict(counts)


def _failpoints(recorded: Recorded) -> dict[str, str]:
    """Return by program how many of its steps, before and after each, had a failpoint that acted."""
    hit, missed = (
        Counter(point.partition(":")[0] for point in recorded.counts.get(name, {}))
        for name in (HIT, NOT_HIT)
    )
    return {name: f"{hit[name]} of {hit[name] + missed[name]}" for name in sorted(hit | missed)}


def summary(numbers: dict[str, Any]) -> str:
    """Return the figures for a terminal, without the long lists."""
    shown = {name: value for name, value in numbers.items() if name not in {HIT, NOT_HIT, "faults"}}
    shown["faults"] = sum(numbers.get("faults", {}).values())
    return "\n".join(
        f"{name}: {_flat(value)}" for name, value in shown.items() if value not in ({}, None)
    )


def _flat(value: object) -> str:
    if not isinstance(value, dict):
        return str(value)
    return ", ".join(
        f"{name} {each:.1f}" if isinstance(each, float) else f"{name} {each}"
        for name, each in value.items()
    )


def excerpts(recorded: Recorded, violations: list[Violation]) -> Iterator[str]:
    """Yield lines: the first violations of each rule, with the events that show each."""
    began = recorded.run.at if recorded.run else 0.0
    shown: Counter[str] = Counter()
    for violation in violations:
        shown[violation.rule] += 1
        if shown[violation.rule] > _SHOWN:
            continue
        yield f"VIOLATION {violation.rule}: {violation.text} {violation.id}".rstrip()
        for event in sorted(violation.evidence, key=time_of):
            yield f"  {_line(event, began)}"
    for rule, count in shown.items():
        if count > _SHOWN:
            yield f"VIOLATION {rule}: {count - _SHOWN} more"


def _line(event: Event, began: float) -> str:
    """Return an event without its empty members. Times are seconds since the start of the run."""
    members = dataclasses.asdict(event)
    times = [
        f"{members.pop(name) - began:.3f}" for name in ("began", "ended", "at") if name in members
    ]
    rest = " ".join(
        f"{name}={value}" for name, value in members.items() if value not in ("", 0, None, ())
    )
    return f"{' to '.join(times)} s {type(event).__name__} {rest}"
