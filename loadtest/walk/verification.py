"""Compares the entries of a list with the snapshot that was read before.

missing     in the snapshot and not listed; or found by an earlier search and not found again; or COMPLETED and not
            found within the progress timeout of the run
repeated    listed more than once
foreign     of another customer, or never submitted
state       listed in a state or format, or outside of the span, that the list does not contain
contradicted  listed in another state than the terminal state of the snapshot
order       listed after an older entry
token       a page token of one customer was accepted for the list of another
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from loadtest.run_report.record import Verdict, fault_sentences
from loadtest.walk.items import WalkItems
from loadtest.walk.lists import FAILED, IMAGES, ListQuery
from loadtest.walk.pages import Walk
from loadtest.walk.snapshot import Entry, Snapshot


@dataclass(slots=True)
class Verification:
    """Call `check` and `check_token` for each list, then `verdict`."""

    items: WalkItems
    walks: Counter[str] = field(default_factory=Counter)
    """By kind of list."""
    expected: Counter[str] = field(default_factory=Counter)
    """Requests that had to be listed once, by kind of list."""
    tokens: Counter[str] = field(default_factory=Counter)
    """Page tokens that were rejected for the list of another customer, by kind of list."""
    faults: dict[str, list[str]] = field(default_factory=dict)
    """Sentences that begin with an id, by kind of fault."""

    def check(self, walk: Walk, snapshot: Snapshot, required: set[str]) -> None:
        """`required` holds the ids that the list must contain."""
        query, entries = walk.query, walk.entries
        times = Counter(entry.request_id for entry in entries)
        self.walks[query.kind] += 1
        self.expected[query.kind] += len(required)
        for request_id in sorted(required - times.keys()):
            self._fault("missing", request_id, query)
        for request_id, count in times.items():
            if count > 1:
                self._fault("repeated", request_id, query)
        self._check_entries(query, entries, snapshot)
        self._check_order(query, entries, snapshot)

    def check_token(self, token: str, query: ListQuery, other: str, *, rejected: bool) -> None:
        """`other` is the customer for whose list the token was used."""
        if rejected:
            self.tokens[query.kind] += 1
        else:
            self._fault("token", f"{token}, accepted for {other},", query)

    def verdict(self, submitted: int, meanwhile: int) -> Verdict:
        """`meanwhile` is the number of requests that were submitted during the walks."""
        walks = self.walks.total()
        sentences = [
            f"{submitted:,} requests existed before the first walk, {meanwhile:,} came during {walks:,} walks.",
            f"Requests that had to be listed once: {_by_kind(self.expected)}.",
            f"Tokens rejected for the list of another customer: {_by_kind(self.tokens)}.",
            *fault_sentences(self.faults),
        ]
        empty = [kind for kind in self.walks if not self.expected[kind]]
        if empty:
            sentences.append(f"Nothing had to be listed by: {', '.join(empty)}.")
        untried = [kind for kind in self.walks if not self.tokens[kind]]
        if untried:
            sentences.append(f"No token was rejected by: {', '.join(untried)}.")
        if not meanwhile:
            sentences.append("Nothing was submitted during the walks.")
        if not self.faults:
            sentences.append("Each was listed once, and only to its customer.")
        passed = bool(walks and meanwhile) and not self.faults and not empty and not untried
        return Verdict(passed, tuple(sentences))

    def _check_entries(
        self, query: ListQuery, entries: Iterable[Entry], snapshot: Snapshot
    ) -> None:
        for entry in entries:
            number = self.items.number(entry.request_id)
            owner = None if number is None else self.items.customer(number)
            if not owner == entry.customer == query.customer:
                self._fault("foreign", f"{entry.request_id} of {entry.customer}", query)
            elif not entry.belongs_to(query):
                self._fault("state", entry.request_id, query)
            elif snapshot.contradicts(entry):
                self._fault("contradicted", entry.request_id, query)

    def _check_order(self, query: ListQuery, entries: Sequence[Entry], snapshot: Snapshot) -> None:
        """Images are ordered by the time of their requests, which is unknown for those submitted later."""
        known = snapshot.requests
        if query.kind == IMAGES:
            entries = [known[each.request_id] for each in entries if each.request_id in known]
        for before, entry in pairwise(entries):
            newer = (
                entry.updated > before.updated
                if query.kind == FAILED
                else entry.created > before.created
            )
            if newer:
                self._fault("order", entry.request_id, query)

    def _fault(self, kind: str, request_id: str, query: ListQuery) -> None:
        where = f"{query.kind} of {query.customer} with pages of {query.page_size}"
        self.faults.setdefault(kind, []).append(f"{request_id} in {where}")


def _by_kind(counts: Counter[str]) -> str:
    return ", ".join(f"{count:,} by {kind}" for kind, count in counts.items()) or "none"
