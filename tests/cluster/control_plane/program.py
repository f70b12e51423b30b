"""A program of the control plane as a child process that leaves with its parent, and whose last words are kept."""

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

_STOP_SECONDS = 15.0
_POLL_SECONDS = 0.25
_TAIL_BYTES = 3_000


class ControlPlaneFailed(Exception):
    """A program ended, or something was not so in time; `str()` has the last words of who knows why."""


@dataclass(frozen=True, slots=True)
class Program:
    """A running program. Start it by `start`, end it by `stop`."""

    name: str
    process: Process
    log: Path

    @classmethod
    async def start(
        cls, path: Path, *arguments: str, name: str, logs: Path, environment: Mapping[str, str]
    ) -> Self:
        log = logs / f"{name}.log"
        leash = await asyncio.to_thread(_leash)
        with await asyncio.to_thread(log.open, "wb") as out:
            process = await asyncio.create_subprocess_exec(
                *leash,
                str(path),
                *arguments,
                env={**without_aws(os.environ), **environment},
                stdin=DEVNULL,
                stdout=out,
                stderr=STDOUT,
                # The terminal's Ctrl-C is for the parent, which then ends its children in order.
                start_new_session=True,
            )
        return cls(name, process, log)

    async def answers(
        self, url: str, *, authority: Path | None = None, seconds: float = 90
    ) -> None:
        """Wait until a GET of `url` is answered by 200, as its probe would."""
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
        """Wait until it takes connections on a port of loopback."""

        async def ready() -> bool:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                return False
            writer.close()
            return True

        await self.until(ready, f"listen on port {port}", seconds=seconds)

    async def until(
        self, condition: Callable[[], Awaitable[bool]], what: str, *, seconds: float
    ) -> None:
        """Wait until the condition holds; raise ControlPlaneFailed when the program ends before, or in `seconds`."""
        end = time.monotonic() + seconds
        while not await condition():
            if self.process.returncode is not None:
                raise ControlPlaneFailed(
                    f"{self.name} ended before it did {what}: {await self.words()}"
                )
            if time.monotonic() > end:
                raise ControlPlaneFailed(
                    f"{self.name} does not {what} after {seconds:g} s: {await self.words()}"
                )
            await asyncio.sleep(_POLL_SECONDS)

    async def words(self) -> str:
        """Return the end of its log."""
        content = await asyncio.to_thread(self.log.read_bytes)
        return content[-_TAIL_BYTES:].decode(errors="replace")

    async def stop(self) -> None:
        """End it, by SIGKILL if SIGTERM does not within 15 s."""
        with suppress(ProcessLookupError):
            self.process.terminate()
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await self.process.wait()
        except TimeoutError:
            self.process.kill()
            await self.process.wait()


def _leash() -> list[str]:
    """Return what makes the kernel end a child whose parent was killed; only Linux has it."""
    setpriv = shutil.which("setpriv")
    return [] if setpriv is None else [setpriv, "--pdeathsig", "KILL", "--"]


def _trust(authority: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(authority))
