"""The proof: what a walk listed, against what was known when it began. Pure.

missing    there when the walk began, and not listed; found by an earlier search, and not found again; or COMPLETED,
           and not found until patience ended
twice      listed more than once
stranger   another customer's, or nobody's: never submitted
state      listed in another state or format than was asked for, or outside of the span of time
ended      listed in another state than that in which it had ended before
order      listed behind an older one
token      a token of one customer was taken for another's list
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from imageservice.v1 import image_service_pb2 as pb
from loadtest.run_report.record import Verdict, fault_sentences
from loadtest.walk.entry import ENDED, Entry
from loadtest.walk.items import WalkItems
from loadtest.walk.lists import FAILED, IMAGES, SEARCHES, Question
from loadtest.walk.pages import Walked


@dataclass(frozen=True, slots=True)
class Known:
    """One customer's requests that were there before a walk began, as GetStatus told of them."""

    requests: Mapping[str, Entry]

    def expected(self, question: Question) -> set[str]:
        """What a walk must list."""
        return {entry.request_id for entry in self.requests.values() if _belongs(question, entry)}

    def pending(self) -> list[str]:
        """Ids."""
        return [key for key, entry in self.requests.items() if entry.state == pb.STATE_PENDING]

    def contradicts(self, entry: Entry) -> bool:
        """Whether it had ended, and in another state than this. No request of the run is reopened."""
        before = self.requests.get(entry.request_id)
        return before is not None and before.state in ENDED and entry.state != before.state

    def still(self, later: "Known") -> "Known":
        """Less those which were PENDING, and are so no more: a list of PENDING ones may have met them or not."""
        gone = {key for key in self.pending() if later.requests[key].state != pb.STATE_PENDING}
        return Known({key: entry for key, entry in self.requests.items() if key not in gone})


@dataclass(slots=True)
class Proof:
    items: WalkItems
    walks: Counter[str] = field(default_factory=Counter)
    """By kind of list."""
    proven: Counter[str] = field(default_factory=Counter)
    """By kind of list: requests of which it was known that each must be listed once."""
    tokens: Counter[str] = field(default_factory=Counter)
    """By kind of list: tokens that were tried on another's, and refused."""
    faults: dict[str, list[str]] = field(default_factory=dict)
    """By kind: sentences that begin with an id."""

    def look_at(self, walked: Walked, known: Known, must: set[str]) -> None:
        """`must` are the ids of those that this walk has to list."""
        question, entries = walked.question, walked.entries
        times = Counter(entry.request_id for entry in entries)
        self.walks[question.kind] += 1
        self.proven[question.kind] += len(must)
        for request_id in sorted(must - times.keys()):
            self._fault("missing", request_id, question)
        for request_id, count in times.items():
            if count > 1:
                self._fault("twice", request_id, question)
        self._judge_each(question, entries, known)
        self._judge_order(question, entries, known)

    def token(self, text: str, question: Question, other: str, *, refused: bool) -> None:
        """`other` gave a token of this list for the same list of its own."""
        if refused:
            self.tokens[question.kind] += 1
        else:
            self._fault("token", f"{text}, taken for {other},", question)

    def verdict(self, submitted: int, meanwhile: int) -> Verdict:
        walks = self.walks.total()
        sentences = [
            f"{submitted:,} requests were there before the first walk, {meanwhile:,} came during {walks:,} walks.",
            f"Known to be there before its walk, and to be listed once: {_by_kind(self.proven)}.",
            f"Tokens refused for another's list: {_by_kind(self.tokens)}.",
            *fault_sentences(self.faults),
        ]
        idle = [kind for kind in self.walks if not self.proven[kind]]
        if idle:
            sentences.append(f"Nothing was there to be listed by: {', '.join(idle)}.")
        untried = [kind for kind in self.walks if not self.tokens[kind]]
        if untried:
            sentences.append(f"No token was refused for another's list by: {', '.join(untried)}.")
        if not meanwhile:
            sentences.append("Nothing came during the walks.")
        if not self.faults:
            sentences.append("Each was listed once, and none to a stranger.")
        passed = bool(walks and meanwhile) and not self.faults and not idle and not untried
        return Verdict(passed, tuple(sentences))

    def _judge_each(self, question: Question, entries: Iterable[Entry], known: Known) -> None:
        for entry in entries:
            number = self.items.number(entry.request_id)
            owner = None if number is None else self.items.customer(number)
            if not owner == entry.customer == question.customer:
                self._fault("stranger", f"{entry.request_id} of {entry.customer}", question)
            elif not _belongs(question, entry):
                self._fault("state", entry.request_id, question)
            elif known.contradicts(entry):
                self._fault("ended", entry.request_id, question)

    def _judge_order(self, question: Question, entries: Sequence[Entry], known: Known) -> None:
        """Images are in the order of their requests, of which those that came since are not known."""
        if question.kind == IMAGES:
            entries = [
                known.requests[e.request_id] for e in entries if e.request_id in known.requests
            ]
        for before, entry in pairwise(entries):
            newer = (
                entry.updated > before.updated
                if question.kind == FAILED
                else entry.created > before.created
            )
            if newer:
                self._fault("order", entry.request_id, question)

    def _fault(self, kind: str, request_id: str, question: Question) -> None:
        where = f"{question.kind} of {question.customer} by pages of {question.page_size}"
        self.faults.setdefault(kind, []).append(f"{request_id} in {where}")


def _by_kind(counts: Counter[str]) -> str:
    return ", ".join(f"{count:,} by {kind}" for kind, count in counts.items()) or "none"


def _belongs(question: Question, entry: Entry) -> bool:
    """Whether the list that is asked for has a place for it."""
    if question.kind in {IMAGES, *SEARCHES}:
        return entry.state == pb.STATE_COMPLETED and question.format in {"", entry.format}
    if question.state not in {pb.STATE_UNSPECIFIED, entry.state}:
        return False
    after, before = question.after, question.before
    return (after is None or after <= entry.created) and (before is None or entry.created < before)
