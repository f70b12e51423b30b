"""The promises about lists, searches, watches and streams."""

from collections import Counter, defaultdict
from collections.abc import Iterator

from robustness.history import Event, Observed, Walked
from robustness.model.record import Record, Recorded, Violation
from robustness.model.requests import COMPLETED, PENDING

_INDEX_LAG_S = 2.0
"""An index may lag an acknowledgement by less than this."""


def lists_have_no_repeats(recorded: Recorded) -> Iterator[Violation]:
    """The pages of a list have each request once, also during the traffic."""
    for walk in recorded.walks:
        for request_id, count in Counter(walk.ids).items():
            if count > 1:
                text = f"listed {count} times in {walk.list} of {walk.customer}"
                yield Violation(
                    "lists_have_no_repeats", request_id, text, (_short(walk, request_id),)
                )


def lists_are_complete(recorded: Recorded) -> Iterator[Violation]:
    """A list has each request that was acknowledged before, also during the traffic."""
    acknowledged: dict[str, list[tuple[float, Record]]] = defaultdict(list)
    for record in recorded.all_records():
        at = record.acknowledged_at
        customers = record.acknowledged_customers
        if at is not None and len(customers) == 1 and not record.expired:
            acknowledged[next(iter(customers))].append((at, record))
    for walk in recorded.walks:
        if walk.list != "requests" or walk.final:
            continue
        listed = set(walk.ids)
        for at, record in acknowledged[walk.customer]:
            if at < walk.began - _INDEX_LAG_S and record.id not in listed:
                text = f"missing in the list of {walk.customer}"
                evidence = (record.accepted[0], _short(walk, record.id))
                yield Violation("lists_are_complete", record.id, text, evidence)


def lists_are_right(recorded: Recorded) -> Iterator[Violation]:
    """At the end, lists and searches are equal to the states."""
    expected: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for record in recorded.records.values():
        last = record.last
        if last is None:
            continue
        expected["requests"][last.customer].add(record.id)
        if last.state == COMPLETED:
            expected["images"][last.customer].add(record.id)
            expected["search"][last.customer].add(record.id)
        elif last.state != PENDING:
            expected["failed"][last.customer].add(record.id)
    expired = _expired(recorded)
    for walk in recorded.walks:
        if not walk.final:
            continue
        different = expected[walk.list][walk.customer] ^ set(walk.ids)
        for request_id in sorted(different - expired[walk.customer]):
            known = recorded.records.get(request_id)
            last = known.last if known else None
            word = "listed" if request_id in walk.ids else "missing"
            text = (
                f"{word} in {walk.list} of {walk.customer}, but {last.state if last else 'unknown'}"
            )
            evidence: tuple[Event, ...] = (*([last] if last else []), _short(walk, request_id))
            yield Violation("lists_are_right", request_id, text, evidence)


def lists_show_no_other_image(recorded: Recorded) -> Iterator[Violation]:
    """Lists and searches show an image only of a request that is COMPLETED."""
    expired = _expired(recorded)
    for walk in recorded.walks:
        if walk.list not in {"images", "search"} or walk.final:
            continue
        for request_id in set(walk.ids) - expired[walk.customer]:
            known = recorded.records.get(request_id)
            last = known.last if known else None
            if last is not None and last.state not in {COMPLETED, PENDING}:
                text = f"an image in {walk.list}, but the request is {last.state}"
                evidence = (_short(walk, request_id), last)
                yield Violation("lists_show_no_other_image", request_id, text, evidence)


def watches_rise(recorded: Recorded) -> Iterator[Violation]:
    """Within a watch, the revision of an id only rises. A watch that ends OK leaves no id open."""
    last: dict[tuple[int, str], Observed] = {}
    for record in recorded.all_records():
        for state in record.observed:
            if not state.watch:
                continue
            before = last.get((state.watch, state.id))
            if before is not None and before.revision >= state.revision:
                text = f"revision {state.revision} after {before.revision} in one watch"
                yield Violation("watches_rise", state.id, text, (before, state))
            last[state.watch, state.id] = state
    for watch in recorded.watches:
        for request_id in watch.ids:
            seen = last.get((watch.watch, request_id))
            if seen is None or seen.state == PENDING:
                shown: tuple[Event, ...] = (watch,) if seen is None else (seen, watch)
                text = "the watch ended OK before the request"
                yield Violation("watches_rise", request_id, text, shown)


def streams_are_complete(recorded: Recorded) -> Iterator[Violation]:
    """A stream has at most one result for each item, and exactly one if it ends OK."""
    for stream in recorded.streams:
        counts = Counter(stream.results)
        wrong = [item for item in counts if counts[item] > 1 or item not in stream.sent]
        if stream.code == "OK":
            wrong += [item for item in stream.sent if item not in counts]
        if wrong:
            text = f"items with more or less than one result: {', '.join(wrong[:5])}"
            yield Violation("streams_are_complete", "", text, (stream,))


def _expired(recorded: Recorded) -> dict[str, set[str]]:
    """Return by customer the ids of requests that have expired. Their images stay."""
    expired: dict[str, set[str]] = defaultdict(set)
    for record in recorded.earlier:
        if record.last is not None:
            expired[record.last.customer].add(record.id)
    return expired


def _short(walk: Walked, request_id: str) -> Walked:
    """Return a walk with the ids that matter."""
    ids = tuple(each for each in walk.ids if each == request_id)
    return Walked(walk.began, walk.ended, walk.list, walk.customer, ids, walk.final)
