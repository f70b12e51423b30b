"""The folder of one run's report: its files, and the logs of what was started for it."""

from dataclasses import dataclass
from pathlib import Path

from loadtest.driver.errors import Cannot
from loadtest.driver.progress_bar import ProgressBar
from loadtest.run_report.record import Faults, RunRecord, fault_lines
from loadtest.run_report.thinning import thinned

POINTS = 600
"""Of the timeline in the JSON: an hour's run then stays under 300 KB."""

_JSON, _FAULTS = "report.json", "faults.txt"
_FILES = (_JSON, _FAULTS, "report.html", "report.png")


@dataclass(frozen=True, slots=True)
class ReportFolder:
    path: Path

    def clear(self) -> None:
        """No file of an earlier run is left to be taken for one of this run. Raises Cannot."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            for name in _FILES:
                (self.path / name).unlink(missing_ok=True)
        except OSError as error:
            raise Cannot(f"--report {self.path}: {error.strerror}") from None

    def log(self, name: str) -> Path:
        return self.path / f"{name}.log"

    def write(self, record: RunRecord, found: Faults | None) -> None:
        """`found` holds the faults, or is None if the verification did not finish."""
        thinned(record, POINTS).to_json(self.path / _JSON)
        if found is not None:
            (self.path / _FAULTS).write_text("".join(fault_lines(found)), encoding="utf-8")

    def tell(self, record: RunRecord, took: str, bar: ProgressBar) -> None:
        """The verdict and the totals, for people; `took` says how long it was, and of what."""
        for sentence in record.verdict.sentences:
            bar.say(sentence)
        totals = ", ".join(f"{name} {value}" for name, value in record.totals.items())
        bar.say(f"{took}; {totals}")
        bar.say(
            f"report: {self.path / _JSON}; draw it with: imageservice-loadtest render {self.path}"
        )
