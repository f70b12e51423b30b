"""A backend as a child process on loopback. It ends with its parent."""

import asyncio
import os
from asyncio.subprocess import STDOUT, Process
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from cli.local.embedded_aws import HOST, endpoint_of, free_port

Kind = Literal["dynamodb", "elasticmq", "opensearch"]

READY_TIMEOUT_S = 60.0
POLL_S = 0.05
# Serial garbage collection: parallel collectors would take cores from the system under test.
_OPTIONS = ("-XX:+UseSerialGC", "-XX:-UsePerfData")


class BackendFailed(Exception):
    """A backend ended before it was ready, or was not ready in time. `str()` has the end of its log."""


@dataclass(frozen=True, slots=True)
class Jvm:
    """A running backend."""

    kind: Kind
    port: int
    process: Process
    log: Path

    @classmethod
    async def start(
        cls,
        kind: Kind,
        jars: Path,
        logs: Path,
        *,
        port: int | None = None,
        heap: str = "2g",
        arguments: tuple[str, ...] = (),
    ) -> Self:
        """Start it and wait until it accepts connections. Its output goes to a file in `logs`.

        Without `port` it uses a free port. `heap` is the maximum heap size in Java's notation. `arguments` are passed
        to its launcher.
        """
        port, log = port or free_port(), logs / f"{kind}.log"
        with await asyncio.to_thread(log.open, "wb") as out:
            process = await asyncio.create_subprocess_exec(
                "java",
                *(f"-Xmx{heap}", *_OPTIONS),
                # A killed JVM leaves its unpacked native libraries there.
                f"-Djava.io.tmpdir={logs}",
                f"-Djava.library.path={jars}",
                *("-cp", f"{jars}{os.pathsep}{jars}{os.sep}*"),
                *("Backend", kind, str(port), *arguments),
                # It ends when this pipe is closed, so also after kill -9 of this process.
                stdin=asyncio.subprocess.PIPE,
                stdout=out,
                stderr=STDOUT,
                # Ctrl-C in the terminal reaches only the parent, which then stops its children in order.
                start_new_session=True,
            )
        started = cls(kind, port, process, log)
        try:
            await started._wait_until_ready()
        except BaseException:
            await started.stop()
            raise
        return started

    @property
    def endpoint(self) -> str:
        return endpoint_of(self.port)

    async def stop(self) -> None:
        """Kill it. It stores nothing permanently, so a graceful stop is not necessary."""
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()

    async def _wait_until_ready(self) -> None:
        try:
            async with asyncio.timeout(READY_TIMEOUT_S):
                while not await _listens(self.port):
                    if self.process.returncode is not None:
                        raise BackendFailed(
                            f"{self.kind} ended at its start: {await self._log_tail()}"
                        )
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            raise BackendFailed(f"{self.kind} is not ready after {READY_TIMEOUT_S:g} s") from None

    async def _log_tail(self) -> str:
        return (await asyncio.to_thread(self.log.read_text, errors="replace"))[-2_000:]


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(HOST, port)
    except OSError:
        return False
    writer.close()
    return True
