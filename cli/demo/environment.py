"""The system of the demo: free ports, logs in a folder, its own origin."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from rich.status import Status

from cli.arguments import Address
from cli.errors import CommandFailed
from cli.local import ports, readiness
from cli.local.child import ChildSpec, watched
from cli.local.plan import Plan
from cli.local.ports import PortRequest
from cli.local.ready_file import Running
from cli.local.system import System

HOST = "127.0.0.1"
PURPOSES = (
    "the gRPC server",
    "the server's metrics",
    "the consumer's metrics",
    "the indexer's metrics",
    "the origin",
)


class DemoObserver:
    """Shows the steps of the start and knows when the system is ready."""

    def __init__(self, status: Status) -> None:
        self._status = status
        self._ready = asyncio.Event()

    async def ready(self) -> None:
        await self._ready.wait()

    def step(self, text: str) -> None:
        self._status.update(text)
        if not self._status.console.is_terminal:
            self._status.console.print(text, highlight=False)

    def warn(self, text: str) -> None:
        self._status.console.print(text, style="yellow", highlight=False)

    async def running(self, running: Running) -> None:
        del running
        self._ready.set()

    async def not_running(self) -> None:
        self._ready.clear()


@asynccontextmanager
async def open_environment(
    images: Path, logs: Path, status: Status
) -> AsyncIterator[tuple[str, str]]:
    """Yield the address of the gRPC server and the URL of the origin while both run. Raises CommandFailed."""
    wanted = [PortRequest(HOST, 0, purpose) for purpose in PURPOSES]
    grpc_port, server_port, consumer_port, indexer_port, origin_port = ports.choose(wanted)
    origin = f"http://{HOST}:{origin_port}"
    plan = Plan(
        address=Address(HOST, grpc_port),
        server_port=server_port,
        consumer_ports=(consumer_port,),
        indexer_port=indexer_port,
        networks=(f"{HOST}/32",),
        logs=logs,
        extra_children=(_origin(images, origin_port, origin, logs),),
    )
    observer = DemoObserver(status)
    system = System(plan, os.environ, observer)
    running = asyncio.create_task(system.run())
    ready = asyncio.create_task(observer.ready())
    try:
        await asyncio.wait({running, ready}, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            await running
            raise CommandFailed("the system ended before it was ready")
        yield str(plan.address), origin
    finally:
        ready.cancel()
        system.stop()
        await asyncio.gather(running, return_exceptions=True)


def _origin(images: Path, port: int, url: str, logs: Path) -> ChildSpec:
    arguments = ["--pictures", str(images), "--host", HOST, "--port", str(port)]
    return ChildSpec(
        name="the image origin",
        role="origin",
        command=watched("loadtest.origin", *arguments),
        environment=dict(os.environ),
        ready=partial(readiness.http_ok, f"{url}/_hits"),
        log=logs / "origin.log",
    )
