"""Start, measure and stop a process from outside, and read its metrics."""

import asyncio
import json
import os
import signal
import socket
import sys
import tempfile
import time
from asyncio.subprocess import Process as Child
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import psutil
from grpc_health.v1 import health_pb2, health_pb2_grpc

READY_S = 60.0
STOP_S = 30.0
_POLL_S = 0.05
HOST = "127.0.0.1"


class BenchFailed(Exception):
    """A process under measurement did not run, or did not do its work."""


class BenchSkipped(Exception):
    """A benchmark needs a program that is not installed."""


def cpu_seconds(pid: int) -> float:
    """Return user and system time of a process, its living children and the ended children that it has waited for.

    On Linux the resolution is 1 ns for living processes and 10 ms for ended ones. Elsewhere it is 10 ms.
    """
    process = psutil.Process(pid)
    total = 0.0
    for each in (process, *process.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            times = each.cpu_times()
            ended = times.children_user + times.children_system
            total += ended + (_clock(each.pid) or times.user + times.system)
    return total


def _clock(pid: int) -> float | None:
    """Read the CPU clock of another process; None if the system has none. The id is that of clock_getcpuclockid(3)."""
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        return None


def resident_bytes(pid: int) -> int:
    """Return the resident memory of a process and its living children."""
    process = psutil.Process(pid)
    total = 0
    for each in (process, *process.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            total += each.memory_info().rss
    return total


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(frozen=True, slots=True)
class Running:
    child: Child
    log: Path

    @property
    def pid(self) -> int:
        return self.child.pid

    def cpu_seconds(self) -> float:
        return cpu_seconds(self.pid)

    def resident_mib(self) -> float:
        return resident_bytes(self.pid) / 2**20

    def fail_if_ended(self) -> None:
        """Raises BenchFailed with the end of its log if it has ended."""
        if self.child.returncode is not None:
            raise BenchFailed(f"ended with {self.child.returncode}: {self._log_tail()}")

    def _log_tail(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")[-2_000:]

    async def stop(self) -> None:
        """Send SIGTERM, and SIGKILL if the process has not ended within STOP_S."""
        with suppress(ProcessLookupError):
            self.child.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_S):
                await self.child.wait()
        except TimeoutError:
            self.child.kill()
            await self.child.wait()


def running(
    module: str, *arguments: str, environment: Mapping[str, str] | None = None
) -> AbstractAsyncContextManager[Running]:
    """Run a Python module as a process until the context exits."""
    return running_command(python_module(module, *arguments), environment)


def python_module(module: str, *arguments: str) -> tuple[str, ...]:
    """Return the command that runs a module."""
    return (sys.executable, "-m", module, *arguments)


@asynccontextmanager
async def running_command(
    command: Sequence[str], environment: Mapping[str, str] | None = None
) -> AsyncIterator[Running]:
    """Run a command as a process until the context exits."""
    handle, name = tempfile.mkstemp(prefix="bench-", suffix=".log")
    log = Path(name)
    try:
        child = await asyncio.create_subprocess_exec(
            *command,
            env={**_inherited(), **(environment or {})},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=handle,
            stderr=handle,
        )
    finally:
        os.close(handle)
    process = Running(child, log)
    try:
        yield process
    finally:
        await process.stop()
        await asyncio.to_thread(log.unlink)


def _inherited() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}


async def ready_file(process: Running, path: Path) -> dict[str, Any]:
    """Wait for the file that the process writes once it is ready, and return its JSON. Raises BenchFailed."""
    async with asyncio.timeout(READY_S):
        while not await asyncio.to_thread(path.exists):
            process.fail_if_ended()
            await asyncio.sleep(_POLL_S)
    content: dict[str, Any] = json.loads(await asyncio.to_thread(path.read_text))
    return content


async def grpc_ready(process: Running, address: str) -> None:
    """Wait until a gRPC server answers its health check. Raises BenchFailed."""
    async with asyncio.timeout(READY_S), grpc.aio.insecure_channel(address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        while True:
            process.fail_if_ended()
            try:
                await stub.Check(health_pb2.HealthCheckRequest(), timeout=1)
            except grpc.aio.AioRpcError:
                await asyncio.sleep(_POLL_S)
            else:
                return


async def json_of(module: str, arguments: Sequence[str]) -> dict[str, Any]:
    """Run a module to its end and return the JSON on its last line of output. Raises BenchFailed."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        *arguments,
        env=_inherited(),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        out, _ = await child.communicate()
    except BaseException:
        child.terminate()
        await child.wait()
        raise
    if child.returncode:
        raise BenchFailed(f"{module} ended with {child.returncode}")
    answer: dict[str, Any] = json.loads(out.splitlines()[-1])
    return answer
