"""How far an operator's command is: a bar on a terminal, a line now and then elsewhere."""

import time
from types import TracebackType
from typing import Self

import rich.progress
from rich.console import Console

_LINE_EVERY_S = 5.0


class Progress:
    """`command` begins each line. `total` is about how much there is to look at; None where nobody knows."""

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
        self._next_line = time.monotonic() + _LINE_EVERY_S

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def advance(self, done: int, told: object) -> None:
        """So much is done; `told` says it in words."""
        # The total is about right: rather a full bar than one beyond its end.
        total = None if self._total is None else max(self._total, done)
        self._bar.update(self._task, completed=done, total=total, description=f"{told}")
        if not self._console.is_terminal and time.monotonic() >= self._next_line:
            self._line(told)

    def say(self, what: str) -> None:
        """It is now `what`."""
        self._bar.update(self._task, description=what)
        if not self._console.is_terminal:
            self._line(what)

    def _line(self, told: object) -> None:
        self._next_line = time.monotonic() + _LINE_EVERY_S
        self._console.print(f"{self._command}: {told}", highlight=False, soft_wrap=True)
