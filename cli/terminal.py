"""The terminal that `imageservice up` runs on, and the ready file."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from cli.local import ready_file as files
from cli.local.ready_file import Running


class Terminal:
    """Says how the system fares, to people and in the ready file."""

    def __init__(self, console: Console, ready_file: Path | None) -> None:
        self._console = console
        self._ready_file = ready_file
        self._told = False

    def step(self, what: str) -> None:
        self._console.print(what, style="dim", highlight=False, markup=False, soft_wrap=True)

    def trouble(self, what: str) -> None:
        self._console.print(what, style="yellow", highlight=False, markup=False, soft_wrap=True)

    async def running(self, running: Running) -> None:
        if self._ready_file is not None:
            await asyncio.to_thread(files.write, self._ready_file, running)
        if self._told:
            self.step("ready again")
            return
        self._told = True
        self._say_where(running)

    async def not_running(self) -> None:
        self._told = False
        if self._ready_file is not None:
            await asyncio.to_thread(files.remove, self._ready_file)

    def _say_where(self, running: Running) -> None:
        lines: Sequence[tuple[str, str]] = [
            ("gRPC", running.address),
            ("AWS", running.aws_endpoint),
            ("images", running.environment["PUBLIC_BASE_URL"]),
            *(("metrics", url) for url in running.metrics),
        ]
        self._console.print("ready", style="bold green")
        for name, where in lines:
            self._console.print(
                f"  {name:<9}{where}", highlight=False, markup=False, soft_wrap=True
            )
        self._console.print("  Ctrl-C drains and ends it; twice ends it at once", style="dim")
