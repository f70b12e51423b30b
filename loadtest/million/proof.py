"""The proof: what the stores say of every acknowledged id, against what the driver was told. Pure.

lost       acknowledged, and absent or not terminal
doubled    acknowledged twice, told of two terminal revisions, or stored at another end than was told
failed     FAILED, though every picture of the run's origin is a good one
image      COMPLETED without exactly one image, or FAILED with one
published  COMPLETED, and its public URL does not answer with the stored bytes
unread     acknowledged, and not looked up
"""

from collections import Counter
from dataclasses import dataclass, field

from loadtest.million.items import Items
from loadtest.million.ledger import COMPLETED, FAILED, Ledger
from loadtest.million.steadiness import Steadiness
from loadtest.run_report.record import Verdict, fault_sentences


@dataclass(frozen=True, slots=True)
class StoredImage:
    public_url: str
    """Empty where nobody said under which URL objects are published."""
    sha256: str


@dataclass(frozen=True, slots=True)
class Found:
    """What the stores hold under an id."""

    state: str
    revision: int
    image: StoredImage | None


@dataclass(frozen=True, slots=True)
class RowCounts:
    """How many rows the run added to the tables."""

    requests: int
    images: int


@dataclass(slots=True)
class Proof:
    """Look up each acknowledged item, then ask for the verdict."""

    items: Items
    ledger: Ledger
    states: Counter[str] = field(default_factory=Counter)
    """Of all that was looked up; what is absent is ABSENT."""
    fetched: int = 0
    """Published pictures that were fetched."""
    faults: dict[str, list[str]] = field(default_factory=dict)
    """By kind: sentences that begin with an id."""

    def look_at(self, number: int, found: Found | None) -> None:
        state = "ABSENT" if found is None else found.state
        self.states[state] += 1
        if found is None or state not in (COMPLETED, FAILED):
            self._fault("lost", number, "acknowledged, and " + state.lower())
            return
        told = self.ledger.told_of(number)
        if told is not None and told != (state, found.revision):
            said = f"told of {told.state} at revision {told.revision}"
            self._fault("doubled", number, f"{said}, stored {state} at revision {found.revision}")
        if state == FAILED:
            self._fault("failed", number, "ended FAILED")
        if (found.image is not None) != (state == COMPLETED):
            has = "has no image" if found.image is None else "has an image"
            self._fault("image", number, f"{state} and {has}")

    def fetch(self, number: int, fault: str | None) -> None:
        """A published picture was fetched; `fault` says what is wrong with it."""
        self.fetched += 1
        if fault is not None:
            self._fault("published", number, fault)

    def close(self, rows: RowCounts | None) -> None:
        """After the last look."""
        for number in self.ledger.acknowledged_twice:
            self._fault("doubled", number, "acknowledged twice")
        for number in self.ledger.told_otherwise:
            self._fault("doubled", number, "told of two terminal revisions")
        for number in self.ledger.untold():
            self._fault("untold", number, "acknowledged, and nobody was told of its end")
        unread = self.ledger.acknowledged - self.states.total()
        if unread:
            self.faults["unread"] = [f"{unread:,} acknowledged requests were not looked up"]
        if rows is not None:
            self._count_rows(rows)

    def verdict(self, steady: Steadiness) -> Verdict:
        ledger, total = self.ledger, self.items.total
        states = ", ".join(f"{count:,} {state}" for state, count in self.states.most_common())
        known = (
            f"{ledger.acknowledged:,} of {total:,} acknowledged; "
            f"{self.states.total():,} looked up: {states}."
        )
        fetched = f"{self.fetched:,} of the pictures fetched from their public URLs."
        sentences = [known, fetched, *fault_sentences(self.faults)]
        if ledger.acknowledged < total:
            sentences.append(f"{total - ledger.acknowledged:,} were not acknowledged.")
        if not self.faults:
            sentences.append("None lost, none doubled.")
        passed = not self.faults and ledger.acknowledged == total and steady.passed
        return Verdict(passed, (*sentences, *steady.sentences))

    def _count_rows(self, rows: RowCounts) -> None:
        for table, counted, expected in (
            ("request", rows.requests, self.ledger.acknowledged),
            ("image", rows.images, self.states[COMPLETED]),
        ):
            if counted != expected:
                kind = self.faults.setdefault("rows", [])
                kind.append(f"the run added {counted:,} {table} rows, and should have {expected:,}")

    def _fault(self, kind: str, number: int, what: str) -> None:
        self.faults.setdefault(kind, []).append(f"{self.items.request_id(number)} {what}")
