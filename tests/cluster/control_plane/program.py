"""A program of the control plane as a child process that dies with its parent and writes a log."""

import asyncio
import os
import shutil
import ssl
import time
from asyncio.subprocess import DEVNULL, STDOUT, Process
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import aiohttp

from cli.local.embedded_aws import without_aws

_STOP_TIMEOUT_S = 15.0
_POLL_S = 0.25
_TAIL_BYTES = 3_000


class ControlPlaneFailed(Exception):
    """A program ended, or a condition did not hold in time. `str()` has the end of its log."""


@dataclass(frozen=True, slots=True)
class Program:
    """A running program. `start` creates it and `stop` ends it."""

    name: str
    process: Process
    log: Path

    @classmethod
    async def start(
        cls, path: Path, *arguments: str, name: str, logs: Path, environment: Mapping[str, str]
    ) -> Self:
        log = logs / f"{name}.log"
        wrapper = await asyncio.to_thread(_parent_death_wrapper)
        with await asyncio.to_thread(log.open, "wb") as out:
            process = await asyncio.create_subprocess_exec(
                *wrapper,
                str(path),
                *arguments,
                env={**without_aws(os.environ), **environment},
                stdin=DEVNULL,
                stdout=out,
                stderr=STDOUT,
                # Ctrl-C in the terminal reaches only the parent, which then stops its children in order.
                start_new_session=True,
            )
        return cls(name, process, log)

    async def answers(
        self, url: str, *, authority: Path | None = None, seconds: float = 90
    ) -> None:
        """Wait until a GET of `url` returns 200, like a probe."""
        context = None if authority is None else await asyncio.to_thread(_trust, authority)
        connector = aiohttp.TCPConnector(ssl=context if context is not None else True)
        async with aiohttp.ClientSession(connector=connector) as session:

            async def ready() -> bool:
                with suppress(aiohttp.ClientError, TimeoutError):
                    timeout = aiohttp.ClientTimeout(total=5)
                    async with session.get(url, timeout=timeout) as answer:
                        return answer.status == 200
                return False

            await self.until(ready, f"answer at {url}", seconds=seconds)

    async def listens(self, port: int, *, seconds: float = 60) -> None:
        """Wait until it accepts connections on a port on loopback."""

        async def ready() -> bool:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                return False
            writer.close()
            return True

        await self.until(ready, f"listen on port {port}", seconds=seconds)

    async def until(
        self, condition: Callable[[], Awaitable[bool]], action: str, *, seconds: float
    ) -> None:
        """Wait until the condition holds. Raises ControlPlaneFailed if the program ends first or after `seconds`."""
        end = time.monotonic() + seconds
        while not await condition():
            if self.process.returncode is not None:
                raise ControlPlaneFailed(
                    f"{self.name} ended before it did {action}: {await self.log_tail()}"
                )
            if time.monotonic() > end:
                raise ControlPlaneFailed(
                    f"{self.name} does not {action} after {seconds:g} s: {await self.log_tail()}"
                )
            await asyncio.sleep(_POLL_S)

    async def log_tail(self) -> str:
        """Return the end of its log."""
        content = await asyncio.to_thread(self.log.read_bytes)
        return content[-_TAIL_BYTES:].decode(errors="replace")

    async def stop(self) -> None:
        """Stop it with SIGTERM, and with SIGKILL after 15 s."""
        with suppress(ProcessLookupError):
            self.process.terminate()
        try:
            async with asyncio.timeout(_STOP_TIMEOUT_S):
                await self.process.wait()
        except TimeoutError:
            self.process.kill()
            await self.process.wait()


def _parent_death_wrapper() -> list[str]:
    """Return a command prefix that makes the kernel kill the child if its parent dies. Empty except on Linux."""
    setpriv = shutil.which("setpriv")
    return [] if setpriv is None else [setpriv, "--pdeathsig", "KILL", "--"]


def _trust(authority: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(authority))
