"""How far a rebuild is: a bar on a terminal, a line now and then elsewhere."""

import time
from types import TracebackType
from typing import Self

import rich.progress
from rich.console import Console

_LINE_EVERY_S = 5.0


class Progress:
    """`total` is about how many images there are; 0 where nobody knows."""

    def __init__(self, total: int) -> None:
        console = Console(stderr=True)
        self._total = total
        self._bar = rich.progress.Progress(
            rich.progress.TextColumn("{task.description}"),
            rich.progress.BarColumn(),
            rich.progress.TextColumn("{task.completed:,} of about {task.total:,}"),
            rich.progress.TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("reading the tables", total=total)
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

    def advance(self, seen: int, rejected: int) -> None:
        """`seen` images were dealt with so far."""
        # The count is hours old: rather a full bar than one beyond its end.
        self._total = max(self._total, seen)
        self._bar.update(self._task, completed=seen, total=self._total)
        if time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + _LINE_EVERY_S
            self._line(f"{seen:,} of about {self._total:,} images, {rejected:,} rejected")

    def say(self, what: str) -> None:
        """It is now `what`."""
        self._bar.update(self._task, description=what)
        self._line(what)

    def _line(self, what: str) -> None:
        if not self._console.is_terminal:
            self._console.print(f"reindex: {what}", highlight=False, soft_wrap=True)
