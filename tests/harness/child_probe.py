"""Small child processes that connect to the test when they run, so that it can wait for their start and end."""

import asyncio
import sys
from asyncio import Queue, StreamReader, StreamWriter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

_CALL = """\
import os, signal, socket, subprocess, sys, time
{before}
line = socket.create_connection(("127.0.0.1", {port}))
line.sendall(b"%d\\n" % os.getpid())
{after}
"""
FOREVER = "while True: time.sleep(60)"


@dataclass(slots=True)
class ProbedChild:
    """A process that has connected."""

    pid: int
    _reader: StreamReader

    async def wait_closed(self) -> None:
        """Wait until its connection is closed. The kernel closes it however the process ends."""
        while await self._reader.read(1_024):
            pass

    async def read(self, count: int) -> str:
        """Return the next `count` bytes that it sends."""
        return (await self._reader.readexactly(count)).decode()

    async def read_all(self) -> str:
        """Return everything that it sends until it ends."""
        return (await self._reader.read()).decode()


@dataclass(slots=True)
class ChildProbes:
    port: int = 0
    _calls: "Queue[ProbedChild]" = field(default_factory=Queue)
    _writers: list[StreamWriter] = field(default_factory=list)

    async def next(self) -> ProbedChild:
        return await self._calls.get()

    def code(self, before: str = "", after: str = FOREVER) -> str:
        """Return a program that runs `before`, connects, and runs `after`. `line` is its connection."""
        return _CALL.format(port=self.port, before=before, after=after)

    def command(self, before: str = "", after: str = FOREVER) -> Callable[[int], Sequence[str]]:
        """Return the command of a ChildSpec for such a program."""
        return lambda _pipe: [sys.executable, "-c", self.code(before, after)]

    async def answer(self, reader: StreamReader, writer: StreamWriter) -> None:
        self._writers.append(writer)
        pid = int(await reader.readline())
        await self._calls.put(ProbedChild(pid, reader))

    async def close(self) -> None:
        for writer in self._writers:
            writer.close()


@asynccontextmanager
async def child_probes() -> AsyncIterator[ChildProbes]:
    answering = ChildProbes()
    server = await asyncio.start_server(answering.answer, "127.0.0.1", 0)
    answering.port = server.sockets[0].getsockname()[1]
    async with server:
        yield answering
        await answering.close()
