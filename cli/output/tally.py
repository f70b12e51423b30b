"""How many URLs came to what."""

from dataclasses import dataclass

from cli.output.outcome import FAILED, REFUSED, Outcome


@dataclass(slots=True)
class Tally:
    read: int = 0
    all_read: bool = False
    """Whether the source of URLs has come to its end, so that `read` is the total."""
    submitted: int = 0
    """Acknowledged by the service."""
    told: int = 0
    failed: int = 0
    refused: int = 0
    unknown: int = 0
    """Neither acknowledged nor refused, or lost sight of."""

    @property
    def bad(self) -> int:
        return self.failed + self.refused + self.unknown

    @property
    def troubles(self) -> str:
        """Words for what went wrong, each kind apart; empty when nothing did."""
        kinds = [(self.failed, "failed"), (self.refused, "refused"), (self.unknown, "unknown")]
        return ", ".join(f"{count} {kind}" for count, kind in kinds if count)

    @property
    def so_far(self) -> str:
        urls = "URL" if self.read == 1 else "URLs"
        return f"stopped after {self.read} {urls}, {self.submitted} submitted"

    def count(self, outcome: Outcome) -> None:
        self.told += 1
        self.failed += outcome.state == FAILED and outcome.error is None
        self.refused += outcome.word == REFUSED
        self.unknown += outcome.error is not None and outcome.word != REFUSED
