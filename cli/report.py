"""How the outcomes of a submission reach a person or a program."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from cli.outcome import COMPLETED, FAILED, PENDING, Outcome

STYLES = {COMPLETED: "green", FAILED: "red", PENDING: "cyan", None: "red"}


class LineReport:
    """A line an outcome; on a terminal in colour."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def tell(self, outcome: Outcome) -> None:
        state, space, rest = outcome.as_text().partition(" ")
        line = Text.assemble((state, STYLES.get(outcome.state, "")), space, rest)
        # A line stays a line: whoever reads it may cut it up or open the URL.
        self._console.print(line, soft_wrap=True)


class JsonReport:
    """An object a line."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def tell(self, outcome: Outcome) -> None:
        self._file.write(outcome.as_json() + "\n")
        self._file.flush()


class ProgressReport:
    """A bar on a terminal, with lines above it for the outcomes that want attention, or for all."""

    def __init__(self, console: Console, *, total: int | None, only_bad: bool) -> None:
        self._lines = LineReport(console)
        self._only_bad = only_bad
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("[red]{task.fields[bad]}"),
            TimeElapsedColumn(),
            console=console,
        )
        self._task = self._progress.add_task("images", total=total, bad="")
        self._bad = 0

    @contextmanager
    def shown(self) -> Iterator[None]:
        with self._progress:
            yield

    def tell(self, outcome: Outcome) -> None:
        self._bad += outcome.bad
        bad = f"{self._bad} failed" if self._bad else ""
        self._progress.update(self._task, advance=1, bad=bad)
        if outcome.bad or not self._only_bad:
            self._lines.tell(outcome)
