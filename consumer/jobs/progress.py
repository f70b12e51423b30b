"""Progress of a job on standard error: a bar on a terminal, otherwise a line every few seconds."""

import time
from typing import Self

import rich.progress
from rich.console import Console

_LINE_INTERVAL_S = 5.0


class Progress:
    """Each line starts with `command`. `total` is the approximate amount of work, None if it is unknown."""

    def __init__(self, command: str, total: int | None) -> None:
        console = Console(stderr=True)
        self._command = command
        self._bar = rich.progress.Progress(
            rich.progress.TextColumn("{task.description}"),
            rich.progress.BarColumn(),
            *(() if total is None else (rich.progress.TimeRemainingColumn(),)),
            rich.progress.TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task(command, total=total)
        self._total = total
        self._console = console
        self._next_line = time.monotonic() + _LINE_INTERVAL_S

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def advance(self, done: int, stats: object) -> None:
        """Show that `done` units of work are done, with `stats` as text."""
        # The total is approximate: the bar is shown full rather than beyond its end.
        total = None if self._total is None else max(self._total, done)
        self._bar.update(self._task, completed=done, total=total, description=f"{stats}")
        if not self._console.is_terminal and time.monotonic() >= self._next_line:
            self._print(stats)

    def set_status(self, status: str) -> None:
        self._bar.update(self._task, description=status)
        if not self._console.is_terminal:
            self._print(status)

    def _print(self, text: object) -> None:
        self._next_line = time.monotonic() + _LINE_INTERVAL_S
        self._console.print(f"{self._command}: {text}", highlight=False, soft_wrap=True)
