"""Shows the progress of a run: a bar on a terminal, otherwise one line per tenth."""

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)


class ProgressBar:
    """Shows one phase at a time; `begin` starts the next."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", style="dim"),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("", total=None, note="", visible=False)
        self._phase, self._total, self._tenths = "", 0, 0

    def print(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def begin(self, phase: str, total: int) -> None:
        self._progress.start()
        self._phase, self._total, self._tenths = phase, total, 0
        self._progress.reset(self._task, total=total, description=phase, visible=True, note="")

    def show(self, done: int, note: str = "") -> None:
        self._progress.update(self._task, completed=done, note=note)
        tenths = 10 * done // max(1, self._total)
        if tenths > self._tenths and not self._console.is_terminal:
            self._tenths = tenths
            self.print(f"{self._phase}: {done:,} of {self._total:,}  {note}")

    def end(self) -> None:
        self._progress.stop()
