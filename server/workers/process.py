"""A worker as its parent sees it."""

import asyncio
import os
import socket
import sys
from asyncio.subprocess import Process
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from server.parent_watch import SERVING
from server.workers.worker import METRICS_FOLDER


@dataclass(frozen=True, slots=True)
class WorkerProcess:
    _process: Process
    _reader: asyncio.StreamReader
    _writer: asyncio.StreamWriter

    @classmethod
    async def start(cls, number: int, address: str, metrics_folder: Path) -> Self:
        """Start `python -m server.workers.worker`, on a tether and in a process group of its own.

        The group, because a terminal's Ctrl-C is for the parent alone, which passes it on.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "server.workers.worker"),
                *(f"--number={number}", f"--tether={theirs.fileno()}"),
                env={
                    **os.environ,
                    "GRPC_ADDRESS": address,
                    METRICS_FOLDER: str(metrics_folder),
                },
                pass_fds=[theirs.fileno()],
                process_group=0,
            )
        reader, writer = await asyncio.open_connection(sock=ours)
        return cls(process, reader, writer)

    @property
    def pid(self) -> int:
        return self._process.pid

    async def served(self) -> bool:
        """Wait until the worker serves, or is dead without having served."""
        try:
            return await self._reader.read(1) == SERVING
        except ConnectionError:
            return False

    async def ended(self) -> int:
        """Wait for its end; the exit code, negative for a signal."""
        code = await self._process.wait()
        self._writer.close()
        return code

    def terminate(self) -> None:
        with suppress(ProcessLookupError):
            self._process.terminate()

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            self._process.kill()


def exit_status(code: int) -> int:
    """Return a shell's exit status for an exit code that may be a signal's."""
    return 128 - code if code < 0 else code
