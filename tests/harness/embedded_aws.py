"""The embedded AWS as a child process of a test run."""

import asyncio
import os
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

from cli.local.embedded_aws import (
    EMULATOR,
    EmbeddedAwsFailed,
    command,
    endpoint_of,
    environment,
    free_port,
    wait_ready,
)

STOP_S = 60.0
"""A busy machine must not kill it in the middle of its shutdown."""


@dataclass(frozen=True, slots=True)
class EmbeddedAws:
    """A running emulator. Start it with `start`, end it with `stop`."""

    port: int
    process: Process
    leash: int
    """The writing end of a pipe to the child. The child ends when this closes."""

    @classmethod
    async def start(
        cls, *, module: str = EMULATOR, extra_environment: Mapping[str, str] | None = None
    ) -> Self:
        """Start the child and wait until it answers; raise EmbeddedAwsFailed."""
        port = free_port()
        reading, writing = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                *command(port, reading, module=module),
                env={**os.environ, **environment(port), **(extra_environment or {})},
                stdin=DEVNULL,
                stdout=DEVNULL,
                pass_fds=(reading,),
                # Ctrl-C in the terminal is for the parent, which then ends its children in order.
                start_new_session=True,
            )
        except BaseException:
            os.close(writing)
            raise
        finally:
            os.close(reading)
        aws = cls(port, process, writing)
        try:
            await aws._wait_until_ready()
        except BaseException:
            await aws.stop()
            raise
        return aws

    @property
    def endpoint(self) -> str:
        return endpoint_of(self.port)

    @property
    def pid(self) -> int:
        return self.process.pid

    async def stop(self) -> None:
        """End the child with SIGTERM, and with SIGKILL if that takes longer than STOP_S."""
        with suppress(ProcessLookupError):
            self.process.terminate()
        try:
            async with asyncio.timeout(STOP_S):
                await self.process.wait()
        except TimeoutError:
            self.process.kill()
            await self.process.wait()
        os.close(self.leash)

    async def _wait_until_ready(self) -> None:
        ready = asyncio.create_task(wait_ready(self.endpoint))
        ended = asyncio.create_task(self.process.wait())
        try:
            await asyncio.wait({ready, ended}, return_when=asyncio.FIRST_COMPLETED)
            if not ready.done():
                raise EmbeddedAwsFailed(f"ended with status {self.process.returncode} at its start")
            ready.result()
        finally:
            ready.cancel()
            ended.cancel()
