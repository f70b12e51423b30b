"""The whole system from the image: a server and consumers in hardened containers, with their own stack."""

import asyncio
import json
import uuid
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import aiohttp

from cli.local.embedded_aws import free_port
from cluster.image.built_image import HARDENED, BuiltImage
from harness.aws import RecordingAws
from harness.system import System

_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Container:
    """`process` is its `docker run`. It forwards signals and ends with the exit status of the container."""

    image: BuiltImage
    name: str
    metrics_port: int
    process: Process

    async def signal(self, name: str) -> None:
        """Send a signal to the container."""
        await asyncio.to_thread(self.image.docker, "kill", "--signal", name, self.name)

    async def stop(self, seconds: int) -> int:
        """Run `docker stop`, which kills the container after `seconds`. Returns its exit status."""
        await asyncio.to_thread(self.image.docker, "stop", "--time", str(seconds), self.name)
        return await self.process.wait()

    async def metrics(self) -> str:
        """Return the metrics page as soon as it is served."""
        while True:
            try:
                return await _get(f"http://127.0.0.1:{self.metrics_port}/metrics")
            except aiohttp.ClientConnectionError:
                ended = self.process.returncode
                assert ended is None, f"{self.name} ended with {ended} instead of serving metrics"
                await asyncio.sleep(_POLL_S)

    async def state(self) -> dict[str, Any]:
        output = await asyncio.to_thread(self.image.docker, "container", "inspect", self.name)
        (container,) = json.loads(output)
        return dict(container["State"])

    async def resident_bytes(self) -> tuple[int, int]:
        """Return the resident memory of its process now, and its maximum, in bytes."""
        path = Path("/proc", str((await self.state())["Pid"]), "status")
        text = await asyncio.to_thread(path.read_text, encoding="utf-8")
        fields = dict(line.split(":\t") for line in text.splitlines() if line.startswith("Vm"))
        return _bytes(fields["VmRSS"]), _bytes(fields["VmHWM"])


def _bytes(value: str) -> int:
    return int(value.strip().removesuffix(" kB")) * 1024


async def _get(url: str) -> str:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return await response.text()


@dataclass(slots=True, kw_only=True)
class ContainedSystem(System):
    """A System that starts containers instead of processes."""

    image: BuiltImage
    containers: list[Container] = field(default_factory=list)

    async def run_server(self, **settings: str) -> Container:
        await self.start_server(**settings)
        return self.containers[-1]

    async def run_consumer(self, **settings: str) -> Container:
        await self.start_consumer(**settings)
        return self.containers[-1]

    async def run_indexer(self, **settings: str) -> Container:
        await self.start_indexer(**settings)
        return self.containers[-1]

    async def run_exporter(self, **settings: str) -> Container:
        await self.start_exporter(**settings)
        return self.containers[-1]

    async def remove(self) -> None:
        """Remove all containers, running or not."""
        names = [container.name for container in self.containers]
        if names:
            await asyncio.to_thread(self.image.docker, "rm", "--force", *names)
        for container in self.containers:
            await container.process.wait()

    async def start(
        self,
        module: str,
        settings: Mapping[str, str],
        arguments: tuple[str, ...] = (),
        *,
        role: str | None = None,
        capture: bool = False,
        log: IO[bytes] | None = None,
        forked: bool | None = None,
        endpoint: str | None = None,
    ) -> Process:
        assert (log, forked, endpoint) == (None, None, None), "not for containers"
        port = int(settings.get("METRICS_PORT") or free_port())
        environment = self.environment(role or module, {"METRICS_PORT": str(port), **settings})
        name = f"imageservice-{module}-{uuid.uuid4().hex[:10]}"
        variables = (f"--env={variable}={value}" for variable, value in environment.items())
        process = await asyncio.create_subprocess_exec(
            *(self.image.docker.client, "run", "--name", name, "--network", "host", *HARDENED),
            *(*variables, self.image.tag, module, *arguments),
            env=self.image.docker.environment,
            stdout=PIPE if capture else None,
        )
        self.containers.append(Container(self.image, name, port, process))
        self.processes.append(process)
        return process


@asynccontextmanager
async def contained_system(
    image: BuiltImage, aws: RecordingAws, *, endpoint: str | None = None, **parameters: str
) -> AsyncIterator[ContainedSystem]:
    """Run a ContainedSystem, like `harness.system.system`. All containers are removed, even if one does not stop."""
    stack = await aws.deploy(f"t{uuid.uuid4().hex[:10]}", **parameters)
    # No search engine: the containers share no folder for a SQLite file.
    running = ContainedSystem(aws, stack, endpoint or aws.endpoint, {}, image=image)
    try:
        yield running
        await running.stop()
    finally:
        await running.remove()
