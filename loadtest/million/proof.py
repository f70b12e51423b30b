"""The proof: what the stores say of every acknowledged id, against what the driver was told. Pure.

lost      acknowledged, and absent or not terminal
doubled   acknowledged twice, told of two terminal revisions, or stored at another one than was told
failed    FAILED, though every picture of the run's origin is a good one
image     COMPLETED without exactly one image, or FAILED with one
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from loadtest.million.items import Items
from loadtest.million.ledger import COMPLETED, FAILED, Ledger
from loadtest.run_report.record import Verdict

SHOWN = 20
"""Ids that a report shows of each kind; the file beside it lists all."""


@dataclass(frozen=True, slots=True)
class Found:
    """What the stores hold under an id."""

    state: str
    revision: int
    has_image: bool


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
    faults: dict[str, list[str]] = field(default_factory=dict)
    """By kind: sentences that begin with an id."""

    def look_at(self, number: int, found: Found | None) -> None:
        state = "ABSENT" if found is None else found.state
        self.states[state] += 1
        if found is None or state not in (COMPLETED, FAILED):
            self._fault("lost", number, "acknowledged, and " + state.lower())
            return
        told = self.ledger.revision(number)
        if told and told != found.revision:
            said = f"told at revision {told}, stored at revision {found.revision}"
            self._fault("doubled", number, said)
        if state == FAILED:
            self._fault("failed", number, "ended FAILED")
        if found.has_image != (state == COMPLETED):
            has = "has an image" if found.has_image else "has no image"
            self._fault("image", number, f"{state} and {has}")

    def close(self, rows: RowCounts | None) -> None:
        """After the last look."""
        for number in self.ledger.acknowledged_twice:
            self._fault("doubled", number, "acknowledged twice")
        for number in self.ledger.told_otherwise:
            self._fault("doubled", number, "told of two terminal revisions")
        for number in self.ledger.untold():
            self._fault("untold", number, "acknowledged, and nobody was told of its end")
        if rows is not None:
            self._count_rows(rows)

    def verdict(self) -> Verdict:
        ledger, total = self.ledger, self.items.total
        states = ", ".join(f"{count:,} {state}" for state, count in self.states.most_common())
        known = f"{ledger.acknowledged:,} of {total:,} acknowledged; each looked up: {states}."
        sentences = [known, *self._sentences()]
        if ledger.acknowledged < total:
            sentences.append(f"{total - ledger.acknowledged:,} were not acknowledged.")
        if not self.faults:
            sentences.append("None lost, none doubled.")
        return Verdict(not self.faults and ledger.acknowledged == total, tuple(sentences))

    def _sentences(self) -> Iterable[str]:
        for kind, sentences in self.faults.items():
            more = f" … and {len(sentences) - SHOWN:,} more" if len(sentences) > SHOWN else ""
            yield f"{len(sentences):,} {kind}: {'; '.join(sentences[:SHOWN])}{more}."

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
