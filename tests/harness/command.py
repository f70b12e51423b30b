"""The `imageservice` command as a process: its output and its exit code."""

import asyncio
import json
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.processes import CompletedProcess, launcher, python_path


async def imageservice(
    *arguments: str,
    address: str | None = None,
    stdin: str = "",
    environment: Mapping[str, str] | None = None,
) -> CompletedProcess:
    """Run a command to its end, in a fork."""
    target = {} if address is None else {"IMAGESERVICE_ADDRESS": address}
    running = await launcher()
    return await running.run(
        "cli.main",
        *arguments,
        environment={**python_path(), **target, **(environment or {})},
        stdin=stdin,
    )


@dataclass(slots=True)
class UpCommand:
    """A running `imageservice up`."""

    process: Process
    ready_file: Path
    output: list[str] = field(default_factory=list)

    async def wait_for_line(self, words: str) -> None:
        """Wait for a line that contains `words`, after the line at which the last wait ended."""
        assert self.process.stdout is not None
        while line := (await self.process.stdout.readline()).decode():
            self.output.append(line)
            if words in line:
                return
        raise AssertionError(f"never printed {words!r}: {''.join(self.output)}")

    async def ready(self) -> dict[str, Any]:
        """Wait until the system is ready, again after its AWS was replaced. Return the content of the ready file."""
        await self.wait_for_line("Ctrl-C drains")
        return await self.running()

    async def running(self) -> dict[str, Any]:
        """Return the content of the ready file."""
        content: dict[str, Any] = json.loads(await asyncio.to_thread(self.ready_file.read_text))
        return content

    async def wait_all_ended(self) -> str:
        """Wait until `up` and all its children have closed their output. Return the rest of the output."""
        assert self.process.stdout is not None
        return (await self.process.stdout.read()).decode()

    async def drain(self, number: signal.Signals) -> None:
        """Send the signal. All processes end in order, with exit code 0, and the ready file is removed."""
        self.process.send_signal(number)
        output = await self.wait_all_ended()
        assert "for the consumers to finish the messages that they hold" in output
        assert output.endswith("stopped\n")
        assert await self.process.wait() == 0
        assert not await asyncio.to_thread(self.ready_file.exists)


@asynccontextmanager
async def up(folder: Path, *arguments: str, **settings: str) -> AsyncIterator[UpCommand]:
    """Start `imageservice up` on a free port, with the ready file in `folder`. It is not ready yet.

    At the end of the block it drains by one Ctrl-C, and the block fails if it does not.
    """
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
    running = UpCommand(process, ready_file)
    try:
        yield running
        if process.returncode is None:
            await running.drain(signal.SIGINT)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
        await running.wait_all_ended()
        await process.wait()
