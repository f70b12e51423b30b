"""The `imageservice` command as a person starts it: a process, its words, its exit code."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def python_path() -> dict[str, str]:
    path = os.pathsep.join([str(ROOT), str(ROOT / "protos"), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": path}


@dataclass(frozen=True, slots=True)
class Ran:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def objects(self) -> list[dict[str, Any]]:
        """What `--json` printed."""
        return [json.loads(line) for line in self.out.splitlines()]


async def imageservice(
    *arguments: str,
    address: str | None = None,
    stdin: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> Ran:
    """Run a command to its end."""
    where = {} if address is None else {"IMAGESERVICE_ADDRESS": address}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cli.main", *arguments),
        stdin=DEVNULL if stdin is None else PIPE,
        stdout=PIPE,
        stderr=PIPE,
        env={**python_path(), **where, **(environment or {})},
    )
    out, err = await process.communicate(None if stdin is None else stdin.encode())
    return Ran(process.returncode or 0, out.decode(), err.decode())


@dataclass(slots=True)
class Up:
    """`imageservice up` as it runs."""

    process: Process
    ready_file: Path
    heard: list[str] = field(default_factory=list)

    async def says(self, words: str) -> None:
        """Wait for a line that holds `words`, from where the last wait ended."""
        assert self.process.stdout is not None
        while line := (await self.process.stdout.readline()).decode():
            self.heard.append(line)
            if words in line:
                return
        raise AssertionError(f"never said {words!r}: {''.join(self.heard)}")

    async def ready(self) -> dict[str, Any]:
        """Wait until all is ready for the first time, or anew after its AWS died; the ready file's content."""
        await self.says("Ctrl-C drains")
        return await self.running()

    async def running(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(await asyncio.to_thread(self.ready_file.read_text))
        return content

    async def all_gone(self) -> str:
        """Wait until no process holds its output any more: it and its children have ended. The last words."""
        assert self.process.stdout is not None
        return (await self.process.stdout.read()).decode()

    async def stop(self) -> None:
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGINT)
        await self.all_gone()
        await self.process.wait()


@asynccontextmanager
async def up(folder: Path, *arguments: str, **settings: str) -> AsyncIterator[Up]:
    """`imageservice up` on a free port with the ready file in `folder`; drained at the end. Not ready yet."""
    ready_file = folder / "ready.json"
    options = ["--address", "127.0.0.1:0", "--ready-file", str(ready_file)]
    loopback = ["--allow-network", "127.0.0.1/32"]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cli.main", "up", *options, *loopback, *arguments),
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=STDOUT,
        env={**python_path(), "LOG_LEVEL": "warning", **settings},
    )
    running = Up(process, ready_file)
    try:
        yield running
    finally:
        await running.stop()
