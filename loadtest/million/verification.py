"""Compares the stored state of every acknowledged item with its reported outcome.

lost          acknowledged, and absent or not terminal
duplicated    acknowledged twice, reported with two terminal revisions, or stored with another outcome than reported
failed        FAILED, although every image of the origin is valid
image         COMPLETED without exactly one image, or FAILED with one
published     COMPLETED, but its public URL does not return the stored bytes
unreported    acknowledged, but no end was reported
unverified    acknowledged, and not looked up
rows          the tables have gained more or fewer rows than the run must add
"""

from collections import Counter
from dataclasses import dataclass, field

from loadtest.million.deciles import Stability
from loadtest.million.items import Items
from loadtest.million.ledger import COMPLETED, FAILED, Ledger
from loadtest.run_report.record import Verdict, fault_sentences


@dataclass(frozen=True, slots=True)
class StoredImage:
    public_url: str
    """Empty if the base URL of published objects is unknown."""
    sha256: str


@dataclass(frozen=True, slots=True)
class StoredRequest:
    state: str
    revision: int
    image: StoredImage | None


@dataclass(frozen=True, slots=True)
class RowCounts:
    requests: int
    images: int


@dataclass(slots=True)
class Verification:
    """Call `check` for each acknowledged item, then `finish`, then `verdict`."""

    items: Items
    ledger: Ledger
    states: Counter[str] = field(default_factory=Counter)
    """States of the checked items; ABSENT if there is no row."""
    fetched: int = 0
    """Number of published images that were fetched."""
    faults: dict[str, list[str]] = field(default_factory=dict)
    """Sentences that begin with an id, by kind of fault."""

    def check(self, number: int, stored: StoredRequest | None) -> None:
        state = "ABSENT" if stored is None else stored.state
        self.states[state] += 1
        if stored is None or state not in (COMPLETED, FAILED):
            self._fault("lost", number, "acknowledged, and " + state.lower())
            return
        reported = self.ledger.outcome_of(number)
        if reported is not None and reported != (state, stored.revision):
            text = f"reported {reported.state} at revision {reported.revision}"
            self._fault(
                "duplicated", number, f"{text}, stored {state} at revision {stored.revision}"
            )
        if state == FAILED:
            self._fault("failed", number, "ended FAILED")
        if (stored.image is not None) != (state == COMPLETED):
            has = "has no image" if stored.image is None else "has an image"
            self._fault("image", number, f"{state} and {has}")

    def add_fetch(self, number: int, fault: str | None) -> None:
        """Count a fetched image. `fault` says what is wrong with it."""
        self.fetched += 1
        if fault is not None:
            self._fault("published", number, fault)

    def finish(self, added: RowCounts | None) -> None:
        """Add the faults of the whole run. `added` is None if rows cannot be counted."""
        for number in self.ledger.acknowledged_twice:
            self._fault("duplicated", number, "acknowledged twice")
        for number in self.ledger.ended_twice:
            self._fault("duplicated", number, "reported with two terminal revisions")
        for number in self.ledger.without_outcome():
            self._fault("unreported", number, "acknowledged, but no end was reported")
        missing = self.ledger.acknowledged - self.states.total()
        if missing:
            self.faults["unverified"] = [f"{missing:,} acknowledged requests were not looked up"]
        if added is not None:
            self._check_rows(added)

    def verdict(self, stable: Stability) -> Verdict:
        ledger, total = self.ledger, self.items.total
        states = ", ".join(f"{count:,} {state}" for state, count in self.states.most_common())
        known = (
            f"{ledger.acknowledged:,} of {total:,} acknowledged; "
            f"{self.states.total():,} looked up: {states}."
        )
        fetched = f"{self.fetched:,} images fetched from their public URLs."
        sentences = [known, fetched, *fault_sentences(self.faults)]
        if ledger.acknowledged < total:
            sentences.append(f"{total - ledger.acknowledged:,} were not acknowledged.")
        if not self.faults:
            sentences.append("None lost, none duplicated.")
        passed = not self.faults and ledger.acknowledged == total and stable.passed
        return Verdict(passed, (*sentences, *stable.sentences))

    def _check_rows(self, added: RowCounts) -> None:
        for table, counted, expected in (
            ("request", added.requests, self.ledger.acknowledged),
            ("image", added.images, self.states[COMPLETED]),
        ):
            if counted != expected:
                kind = self.faults.setdefault("rows", [])
                kind.append(f"the run added {counted:,} {table} rows instead of {expected:,}")

    def _fault(self, kind: str, number: int, what: str) -> None:
        self.faults.setdefault(kind, []).append(f"{self.items.request_id(number)} {what}")
