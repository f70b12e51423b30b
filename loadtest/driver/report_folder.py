"""The folder of a report: its files, and the logs of the started processes."""

from dataclasses import dataclass
from pathlib import Path

from loadtest.driver.execution import CannotStart
from loadtest.driver.progress_bar import ProgressBar
from loadtest.run_report.record import Faults, RunRecord, fault_lines
from loadtest.run_report.thinning import thinned

POINTS = 600
"""Points of the timeline in the JSON. The JSON of an hour then stays under 300 KB."""

_JSON, _FAULTS = "report.json", "faults.txt"
_FILES = (_JSON, _FAULTS, "report.html", "report.png")


@dataclass(frozen=True, slots=True)
class ReportFolder:
    path: Path

    def clear(self) -> None:
        """Delete the files of an earlier run. Raises CannotStart."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            for name in _FILES:
                (self.path / name).unlink(missing_ok=True)
        except OSError as error:
            raise CannotStart(f"--report {self.path}: {error.strerror}") from None

    def log(self, name: str) -> Path:
        return self.path / f"{name}.log"

    def write(self, record: RunRecord, found: Faults | None) -> None:
        """`found` holds the faults, or is None if the verification did not finish."""
        thinned(record, POINTS).to_json(self.path / _JSON)
        if found is not None:
            (self.path / _FAULTS).write_text("".join(fault_lines(found)), encoding="utf-8")

    def print_summary(self, record: RunRecord, took: str, bar: ProgressBar) -> None:
        """Print verdict and totals. `took` is the duration as text."""
        for sentence in record.verdict.sentences:
            bar.print(sentence)
        totals = ", ".join(f"{name} {value}" for name, value in record.totals.items())
        bar.print(f"{took}; {totals}")
        bar.print(
            f"report: {self.path / _JSON}; draw it with: imageservice-loadtest render {self.path}"
        )
