"""The whole system on this machine: an embedded AWS, the server, the consumers and the indexer."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, Protocol, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from cli.errors import CommandFailed
from cli.local import embedded_aws, processes, stack
from cli.local.child import ChildSpec
from cli.local.embedded_aws import EmbeddedAwsFailed
from cli.local.plan import Plan
from cli.local.ready_file import Running
from cli.local.stack import StackFailed
from cli.local.supervisor import MAX_FAILED_STARTS, Supervisor
from core.runtime.child_process import ChildProcess, describe_exit, run_with_restarts
from core.runtime.parent_watch import parent_pipe

T = TypeVar("T")


class Cancelled(Exception):
    """Another task finished first."""


async def cancel_on(work: Coroutine[Any, Any, T], *interruptions: asyncio.Task[Any]) -> T:
    """Return the result of `work`. If another task finishes first, cancel `work` and raise Cancelled."""
    running = asyncio.create_task(work)
    try:
        await asyncio.wait({running, *interruptions}, return_when=asyncio.FIRST_COMPLETED)
        # If both are done, the other task wins: work often fails because of it.
        if any(interruption.done() for interruption in interruptions):
            raise Cancelled
        return await running
    finally:
        if not running.done():
            running.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await running


PREFIX = "imageservice-search-"


@asynccontextmanager
async def search_engine(environ: Mapping[str, str]) -> AsyncIterator[dict[str, str]]:
    """Yield the settings of the search engine: SEARCH_URL if set, otherwise a temporary SQLite file.

    The file lives as long as the embedded AWS whose data it indexes.
    """
    signed = environ.get("SEARCH_SIGNED", "false")
    if given := environ.get("SEARCH_URL"):
        yield {"SEARCH_URL": given, "SEARCH_SIGNED": signed}
        return
    folder = await asyncio.to_thread(tempfile.mkdtemp, prefix=PREFIX)
    try:
        yield {"SEARCH_URL": f"sqlite:///{folder}/search.db", "SEARCH_SIGNED": "false"}
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


READY_TIMEOUT_S = 60.0
ORPHAN_GRACE_S = 3.0
"""Grace of server and consumers when the AWS below them has ended: they cannot drain."""


class SystemObserver(Protocol):
    def step(self, what: str) -> None:
        """A step begins: "starting …"."""

    def warn(self, what: str) -> None:
        """A process ended unexpectedly and starts again."""

    async def running(self, running: Running) -> None:
        """All is ready. Called again after a process was replaced."""

    async def not_running(self) -> None:
        """The system is not ready, or no longer ready."""


class System:
    """Runs a plan. Call `run` once, `stop` for an orderly end, `kill` to end it now."""

    def __init__(self, plan: Plan, environ: Mapping[str, str], observer: SystemObserver) -> None:
        """`environ` is inherited by the children; it may contain settings of server and consumer."""
        embedded = plan.aws_endpoint is None
        self._plan = plan
        self._environ = embedded_aws.without_aws(environ) if embedded else dict(environ)
        self._observer = observer
        self._stopping = asyncio.Event()
        self._changed = asyncio.Event()
        self._workers: Supervisor | None = None
        self._aws: ChildProcess | None = None
        self._been_ready = False

    def stop(self) -> None:
        self._stopping.set()

    def kill(self) -> None:
        """Send SIGKILL to all children. `run` ends soon after."""
        self._stopping.set()
        if self._workers is not None:
            self._workers.kill()
        if self._aws is not None:
            self._aws.kill()

    def ready(self, spec: ChildSpec) -> None:
        self._observer.step(f"{spec.name} is ready")
        self._changed.set()

    def died(self, spec: ChildSpec, how: str, delay_s: float) -> None:
        self._observer.warn(f"{spec.name} ended ({how}); starting it again in {delay_s:g} s")

    async def run(self) -> None:
        """Run until `stop`. No child is left afterwards. Raises CommandFailed if the system cannot run."""
        await self._observer.not_running()
        with parent_pipe() as pipe:
            await run_with_restarts(
                partial(self._run_once, pipe), stopping=self._stopping, on_exit=self._on_aws_exit
            )

    def _on_aws_exit(self, code: int | None, failures: int, delay_s: float) -> bool:
        if code is None:
            return False
        how = describe_exit(code)
        if failures >= MAX_FAILED_STARTS and not self._been_ready:
            raise CommandFailed(f"the embedded AWS does not start: {how}")
        self._observer.warn(
            f"the embedded AWS ended ({how}) and lost its data; "
            f"everything starts again in {delay_s:g} s"
        )
        return True

    async def _run_once(self, pipe: int) -> int | None:
        """Run the system on one AWS. Returns the exit code of the embedded AWS; None if `stop` came first."""
        stopped = asyncio.create_task(self._stopping.wait())
        try:
            if self._plan.aws_endpoint is not None:
                with suppress(Cancelled):
                    await self._serve(pipe, self._plan.aws_endpoint, stopped)
                return None
            return await self._serve_on_embedded_aws(pipe, stopped)
        finally:
            stopped.cancel()

    async def _serve_on_embedded_aws(self, pipe: int, stopped: asyncio.Task[Any]) -> int | None:
        self._observer.step("starting the embedded AWS")
        port = await asyncio.to_thread(embedded_aws.free_port)
        spec = processes.aws(self._plan, port, self._environ)
        self._aws = aws = await spec.start(pipe)
        try:
            with suppress(Cancelled):
                await cancel_on(_ready(spec), stopped, aws.exited)
                await self._serve(pipe, embedded_aws.endpoint_of(port), stopped, aws.exited)
            return None if self._stopping.is_set() else await aws.exited
        finally:
            await aws.stop(spec.grace_s)

    async def _serve(self, pipe: int, endpoint: str, *interruptions: asyncio.Task[Any]) -> None:
        """Deploy the stack, run the processes until one of `interruptions` is done, then drain them."""
        async with search_engine(self._environ) as search:
            await self._work(pipe, endpoint, search, *interruptions)

    async def _work(
        self, pipe: int, endpoint: str, search: Mapping[str, str], *interruptions: asyncio.Task[Any]
    ) -> None:
        self._observer.step("deploying core/stack.yaml")
        settings = await cancel_on(self._deploy(endpoint, search), *interruptions)
        self._observer.step("starting the server, the consumers and the indexer")
        specs = processes.workers(self._plan, endpoint, {**self._environ, **settings})
        async with Supervisor(specs, pipe, self) as workers:
            self._workers = workers
            try:
                await cancel_on(workers.wait_ready(READY_TIMEOUT_S), *interruptions)
                self._been_ready = True
                await cancel_on(self._report_ready(workers, endpoint, settings), *interruptions)
            finally:
                await self._observer.not_running()
                if self._aws is not None and not self._aws.running:
                    self._observer.warn(
                        "the embedded AWS has ended; stopping the processes that use it"
                    )
                    workers.shorten_grace(ORPHAN_GRACE_S)
                else:
                    self._observer.step("stopping")

    async def _deploy(self, endpoint: str, search: Mapping[str, str]) -> dict[str, str]:
        try:
            outputs = await stack.deploy(
                endpoint, name_prefix=self._plan.name_prefix, parameters=self._plan.parameters
            )
        except (StackFailed, BotoCoreError, ClientError) as error:
            raise CommandFailed(str(error)) from error
        return processes.settings(self._plan, endpoint, outputs, search)

    async def _report_ready(
        self, workers: Supervisor, endpoint: str, settings: Mapping[str, str]
    ) -> None:
        """Report that all is ready, now and after each replacement. Raises CommandFailed if a child does not start."""
        while True:
            self._changed.clear()
            running = Running(
                str(self._plan.address),
                endpoint,
                processes.metrics(self._plan, settings),
                self._pids(workers),
                settings,
            )
            await self._observer.running(running)
            changed = asyncio.create_task(self._changed.wait())
            try:
                with suppress(Cancelled):
                    await cancel_on(workers.wait_failed(), changed)
            finally:
                changed.cancel()

    def _pids(self, workers: Supervisor) -> dict[str, int | list[int]]:
        pids: dict[str, int | list[int]] = {}
        if self._aws is not None:
            pids["aws"] = self._aws.pid
        for role, running in workers.pids().items():
            if role == "consumer":
                pids[role] = running
            elif running:
                pids[role] = running[0]
        return pids


async def _ready(spec: ChildSpec) -> None:
    try:
        await spec.ready()
    except EmbeddedAwsFailed as error:
        raise CommandFailed(f"{spec.name}: {error}") from error
