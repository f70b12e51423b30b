"""A worker process as its parent sees it."""

import asyncio
import os
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from core.runtime.child_process import ChildProcess
from core.runtime.parent_watch import SERVING
from server.workers.worker import METRICS_FOLDER


@dataclass(frozen=True, slots=True)
class WorkerProcess:
    _process: ChildProcess
    _reader: asyncio.StreamReader
    _writer: asyncio.StreamWriter

    @classmethod
    async def start(cls, number: int, address: str, metrics_folder: Path) -> Self:
        """Start `python -m server.workers.worker`. The worker holds one end of a socket pair. Raises OSError."""
        ours, theirs = socket.socketpair()
        with theirs:
            process = await ChildProcess.start(
                [
                    *(sys.executable, "-m", "server.workers.worker"),
                    *(f"--number={number}", f"--parent-fd={theirs.fileno()}"),
                ],
                {**os.environ, "GRPC_ADDRESS": address, METRICS_FOLDER: str(metrics_folder)},
                theirs.fileno(),
            )
        reader, writer = await asyncio.open_connection(sock=ours)
        return cls(process, reader, writer)

    @property
    def pid(self) -> int:
        return self._process.pid

    async def wait_serving(self) -> bool:
        """Wait until the worker serves. Returns False if it ends first."""
        try:
            return await self._reader.read(1) == SERVING
        except ConnectionError:
            return False

    async def wait_exited(self) -> int:
        """Wait until the worker has ended. Returns its exit code, negative for a signal."""
        code = await self._process.exited
        self._writer.close()
        return code

    def terminate(self) -> None:
        self._process.terminate()

    def kill(self) -> None:
        self._process.kill()
