"""How the outcomes of a submission reach a person or a program. Raises OutputClosed when nobody reads on."""

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
    """Standard output, whose reader may go away at any time."""

    def on_broken_pipe(self) -> NoReturn:
        """Rich would end the process from within whatever task prints."""
        self.quiet = True
        raise OutputClosed


class TextReport:
    """A line an outcome; on a terminal in colour, as wide as that is."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def report(self, outcome: RequestView) -> None:
        terminal = self._console.is_terminal
        line = outcome.render(self._console.width) if terminal else outcome.to_text()
        state, space, rest = line.partition(" ")
        # In a pipe a line stays a line: whoever reads it may cut it up or open the URL.
        text = Text.assemble((state, STYLES.get(state, "")), space, rest)
        self._console.print(text, soft_wrap=True)


class JsonReport:
    """An object a line."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def report(self, outcome: RequestView) -> None:
        try:
            self._file.write(outcome.to_json() + "\n")
            self._file.flush()
        except BrokenPipeError:
            raise OutputClosed from None


class ProgressReport:
    """A bar on a terminal, with a line above it for each outcome. Reads the tally, which others keep."""

    def __init__(self, console: Console, tally: SubmitStats, total: int | None) -> None:
        """`total` is None where it is known only once all URLs are read."""
        self._lines = TextReport(console)
        self._tally = tally
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
        total = self._tally.read if self._tally.all_read else None
        self._progress.update(
            self._task,
            completed=self._tally.reported,
            total=total,
            errors=self._tally.error_summary,
        )
