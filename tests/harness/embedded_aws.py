"""The embedded AWS as a child process of a test run."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from cli.local.embedded_aws import (
    EMULATOR,
    EmbeddedAwsFailed,
    command,
    endpoint_of,
    environment,
)
from cli.local.readiness import aws_ready
from core.runtime.child_process import ChildProcess, describe_exit
from core.runtime.parent_watch import parent_pipe
from harness.reserved_port import ReservedPort

STOP_S = 60.0
"""A busy machine must not kill it in the middle of its shutdown."""
READY_S = 120.0


@dataclass(frozen=True, slots=True)
class EmbeddedAws:
    """A running emulator."""

    reserved: ReservedPort
    process: ChildProcess

    @property
    def port(self) -> int:
        return self.reserved.number

    @property
    def endpoint(self) -> str:
        return endpoint_of(self.port)


@asynccontextmanager
async def embedded_aws(
    *, module: str = EMULATOR, extra_environment: Mapping[str, str] | None = None
) -> AsyncIterator[EmbeddedAws]:
    """Start the emulator, wait until it answers, and stop it at the end. Raises EmbeddedAwsFailed."""
    reserved = ReservedPort()
    port = reserved.number
    settings = {**os.environ, **environment(port), **(extra_environment or {})}
    with parent_pipe() as pipe:
        process = await ChildProcess.start(command(port, pipe, module=module), settings, pipe)
        try:
            await _wait_until_ready(port, process)
            yield EmbeddedAws(reserved, process)
        finally:
            await process.stop(STOP_S)


async def _wait_until_ready(port: int, process: ChildProcess) -> None:
    ready = asyncio.create_task(aws_ready(endpoint_of(port), READY_S))
    try:
        await asyncio.wait({ready, process.exited}, return_when=asyncio.FIRST_COMPLETED)
        if not ready.done():
            raise EmbeddedAwsFailed(f"ended at its start: {describe_exit(await process.exited)}")
        ready.result()
    finally:
        ready.cancel()
