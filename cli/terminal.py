"""The terminal that `imageservice up` runs on, and the ready file."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from cli.local import ready_file as files
from cli.local.ready_file import Running
from cli.prose import folded


class Terminal:
    """Says how the system fares, to people and in the ready file."""

    def __init__(self, console: Console, ready_file: Path | None) -> None:
        self._console = console
        self._ready_file = ready_file
        self._told = False

    def step(self, what: str) -> None:
        self._say(what, "dim")

    def trouble(self, what: str) -> None:
        self._say(what, "yellow")

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
        self._say("ready", "bold green")
        for name, where in places(running):
            self._say(f"  {name:<24}{where}")
        if not running.environment.get("ALLOWED_NETWORKS"):
            self._say(
                "  Pictures on this machine are refused as BLOCKED_ADDRESS; "
                "--allow-network 127.0.0.1/32 allows them.",
                "dim",
            )
        self._say("  Ctrl-C drains and ends it; twice ends it at once", "dim")

    def _say(self, what: str, style: str = "") -> None:
        if self._console.is_terminal:
            what = folded(what, self._console.width)
        self._console.print(what, style=style, highlight=False, markup=False, soft_wrap=True)


def places(running: Running) -> Sequence[tuple[str, str]]:
    """What is where, for people."""
    server, *others = running.metrics
    indexer = [others.pop()] if "indexer" in running.pids else []
    return [
        ("gRPC", running.address),
        ("AWS", running.aws_endpoint),
        ("images", running.environment["PUBLIC_BASE_URL"]),
        ("server's metrics", server),
        *((f"consumer {n}'s metrics", url) for n, url in enumerate(others, 1)),
        *(("indexer's metrics", url) for url in indexer),
    ]
