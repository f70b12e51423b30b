"""`python -m server --workers N` as a process: its log, its children and its metrics."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import grpc
from prometheus_client.parser import text_string_to_metric_families

from cli.local.embedded_aws import without_aws
from harness.system import System

_OWN_CONNECTION = [
    # By default, channels to one address share a connection.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 200),
]


@dataclass(slots=True)
class WorkerGroup:
    process: Process
    metrics_url: str
    port: int = 0
    output: list[str] = field(default_factory=list)

    async def wait_for_event(self, event: str, **fields: Any) -> dict[str, Any]:
        """Wait for a log line with this event and fields, after the line at which the last wait ended."""
        assert self.process.stderr is not None
        while line := (await self.process.stderr.readline()).decode():
            self.output.append(line)
            if line.startswith("{"):
                entry: dict[str, Any] = json.loads(line)
                if entry.items() >= {"event": event, **fields}.items():
                    return entry
        raise AssertionError(f"never logged {event!r} {fields}: {''.join(self.output)}")

    async def serve(self, count: int) -> None:
        """Wait until `count` workers serve."""
        ports = [(await self.wait_for_event("serving"))["port"] for _ in range(count)]
        assert len(set(ports)) == 1
        self.port = ports[0]

    async def children(self) -> list[int]:
        """Return the pids of the children (proc(5)), which the main thread starts."""
        listed = await _read(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in listed.split()]

    async def metrics(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        """Scrape the metrics. Return the values by name and sorted labels."""
        async with aiohttp.ClientSession() as session, session.get(self.metrics_url) as answer:
            assert answer.status == 200
            families = list(text_string_to_metric_families(await answer.text()))
        samples = [sample for family in families for sample in family.samples]
        assert len({(s.name, *sorted(s.labels.items())) for s in samples}) == len(samples)
        return {(s.name, tuple(sorted(s.labels.items()))): s.value for s in samples}

    async def metric(self, name: str, **labels: str) -> float:
        """Return the sum of the samples with this name and at least these labels."""
        found = [
            value
            for (sample, its), value in (await self.metrics()).items()
            if sample == name and labels.items() <= dict(its).items()
        ]
        assert found, f"{name} {labels} does not exist"
        return sum(found)

    @asynccontextmanager
    async def connections(self, count: int) -> AsyncIterator[list[grpc.aio.Channel]]:
        """Open `count` channels, each with its own connection."""
        async with AsyncExitStack() as stack:
            yield [
                await stack.enter_async_context(
                    grpc.aio.insecure_channel(f"127.0.0.1:{self.port}", options=_OWN_CONNECTION)
                )
                for _ in range(count)
            ]


def worker_environment(system: System, folder: Path, **settings: str) -> dict[str, str]:
    """Return the environment of a server with its temporary files in `folder`."""
    return {
        **without_aws(os.environ),
        **system.aws.environment("server"),
        "AWS_ENDPOINT_URL": system.endpoint,
        **system.stack.environment(),
        "GRPC_ADDRESS": "127.0.0.1:0",
        "METRICS_HOST": "127.0.0.1",
        "METRICS_PORT": str(system.port()),
        "DRAIN_DELAY_S": "0",
        "TMPDIR": str(folder),
        **settings,
    }


@asynccontextmanager
async def worker_group(count: int, environment: Mapping[str, str]) -> AsyncIterator[WorkerGroup]:
    """Run a parent with its workers, and wait until all of them serve. Kill it at the end of the block."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "server", "--workers", str(count)), env=environment, stderr=PIPE
    )
    group = WorkerGroup(process, f"http://127.0.0.1:{environment['METRICS_PORT']}/metrics")
    try:
        await group.serve(count)
        yield group
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
            await process.wait()


async def loads_grpc(pid: int) -> bool:
    """Return whether a process has loaded the gRPC library."""
    return "cygrpc" in await _read(f"/proc/{pid}/maps")


async def files_in(folder: Path) -> list[Path]:
    return await asyncio.to_thread(lambda: list(folder.iterdir()))


async def _read(path: str) -> str:
    return await asyncio.to_thread(Path(path).read_text, encoding="utf-8")


async def wait_exited(pid: int) -> None:
    """Wait for the end of a process that need not be a child (pidfd_open(2))."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(fd, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(fd)
        os.close(fd)
