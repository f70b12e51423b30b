"""Reports of submissions for people and programs. They raise OutputClosed when the reader has closed the output."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from cli.errors import OutputClosed
from cli.output.outcome import COMPLETED, FAILED, PENDING, REFUSED, UNKNOWN, RequestView
from cli.output.stats import SubmitStats

STYLES = {COMPLETED: "green", FAILED: "red", PENDING: "cyan", REFUSED: "red", UNKNOWN: "yellow"}


class Output(Console):
    """Standard output. Its reader may close it at any time."""

    def on_broken_pipe(self) -> NoReturn:
        """Raise OutputClosed. Rich would end the process from within the task that prints."""
        self.quiet = True
        raise OutputClosed


class TextReport:
    """One line per result; on a terminal in colour and as wide as the terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def report(self, outcome: RequestView) -> None:
        terminal = self._console.is_terminal
        line = outcome.render(self._console.width) if terminal else outcome.to_text()
        state, space, rest = line.partition(" ")
        # In a pipe every result stays on one line, so that programs can split it and URLs can be opened.
        text = Text.assemble((state, STYLES.get(state, "")), space, rest)
        self._console.print(text, soft_wrap=True)


class JsonReport:
    def __init__(self, file: TextIO) -> None:
        self._file = file

    def report(self, outcome: RequestView) -> None:
        write_line(self._file, outcome.to_json())


def write_line(file: TextIO, line: str) -> None:
    try:
        file.write(line + "\n")
        file.flush()
    except BrokenPipeError:
        raise OutputClosed from None


class ProgressReport:
    """A progress bar on a terminal, with a line above it for each result. It reads the statistics of the submission."""

    def __init__(self, console: Console, stats: SubmitStats, total: int | None) -> None:
        """`total` is None if it is known only after all URLs were read."""
        self._lines = TextReport(console)
        self._stats = stats
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("[red]{task.fields[errors]}"),
            TimeElapsedColumn(),
            console=console,
        )
        self._task = self._progress.add_task("images", total=total, errors="")

    @contextmanager
    def shown(self) -> Iterator[None]:
        with self._progress:
            try:
                yield
            finally:
                self._draw()

    def report(self, outcome: RequestView) -> None:
        self._lines.report(outcome)
        self._draw()

    def _draw(self) -> None:
        total = self._stats.read if self._stats.all_read else None
        self._progress.update(
            self._task,
            completed=self._stats.reported,
            total=total,
            errors=self._stats.error_summary,
        )
