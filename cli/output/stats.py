"""Statistics of a submission."""

from dataclasses import dataclass

from cli.output.outcome import FAILED, REFUSED, RequestView


@dataclass(slots=True)
class SubmitStats:
    read: int = 0
    all_read: bool = False
    """True when the source of URLs has ended. `read` is then the total."""
    submitted: int = 0
    """Acknowledged by the service."""
    reported: int = 0
    failed: int = 0
    refused: int = 0
    unknown: int = 0
    """Neither acknowledged nor refused, or the watch was interrupted."""

    @property
    def errors(self) -> int:
        return self.failed + self.refused + self.unknown

    @property
    def error_summary(self) -> str:
        """Return the number of errors by kind; empty without errors."""
        kinds = [(self.failed, "failed"), (self.refused, "refused"), (self.unknown, "unknown")]
        return ", ".join(f"{count} {kind}" for count, kind in kinds if count)

    @property
    def progress_summary(self) -> str:
        urls = "URL" if self.read == 1 else "URLs"
        return f"stopped after {self.read} {urls}, {self.submitted} submitted"

    def count(self, outcome: RequestView) -> None:
        self.reported += 1
        self.failed += outcome.state == FAILED and outcome.error is None
        self.refused += outcome.label == REFUSED
        self.unknown += outcome.error is not None and outcome.label != REFUSED
