"""The whole system as real processes: a server, consumers and indexers on one stack."""

import asyncio
import os
import signal
import uuid
from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import IO, Any

import grpc

from cli.local import readiness
from cli.local.embedded_aws import HOST, without_aws
from cli.local.stack import StackOutputs
from cli.local.system import Cancelled, cancel_on, search_engine
from core.runtime.parent_watch import parent_pipe, watched_command
from harness.aws import RecordingAws
from harness.processes import Capture, Process, launcher
from harness.reserved_port import ReservedPort
from imageservice.v1 import image_service_pb2 as pb
from imageservice.v1 import image_service_pb2_grpc

_STOP_S = 90.0
_WATCH_CHUNK = 100


@dataclass(slots=True)
class System:
    """`endpoint` is the AWS endpoint of the processes: the embedded AWS, or a proxy in front of it.

    `search` holds the settings of the search engine: a file of its own by default. The processes end when the pipe
    `parent_pipe` is closed, however this process ends.
    """

    aws: RecordingAws
    stack: StackOutputs
    endpoint: str
    search: dict[str, str]
    parent_pipe: int | None = None
    forked: bool = True
    """False starts each process as production does. A fork also exports the metrics of modules that it does not use."""
    address: str = ""
    processes: list[Process] = field(default_factory=list)
    ports: list[ReservedPort] = field(default_factory=list)
    """Ports of its processes. Two processes never get the same one, and a restarted server finds its port free."""

    def port(self) -> int:
        """Return a reserved port for one of its processes."""
        self.ports.append(ReservedPort())
        return self.ports[-1].number

    async def start_server(self, *arguments: str, **settings: str) -> Process:
        """Start a server and wait until it serves. A restarted server has the same address."""
        self.address = self.address or f"{HOST}:{self.port()}"
        process = await self.start(
            "server", {"GRPC_ADDRESS": self.address, "DRAIN_DELAY_S": "0", **settings}, arguments
        )
        await _unless_ended(process, readiness.grpc_serving(self.address))
        return process

    async def start_consumer(self, **settings: str) -> Process:
        return await self.start("consumer", settings)

    async def start_exporter(self, **settings: str) -> Process:
        return await self.start("consumer", settings, ("queue-exporter",), role="exporter")

    async def start_indexer(self, **settings: str) -> Process:
        """Start an indexer, and wait until it serves its metrics. It does so even if its dependencies are down."""
        settings = {"METRICS_PORT": str(self.port()), **settings}
        process = await self.start("consumer", settings, ("indexer",), role="indexer")
        url = f"http://{HOST}:{settings['METRICS_PORT']}/metrics"
        await _unless_ended(process, readiness.http_ok(url))
        return process

    async def start_reindex(self, *arguments: str, **settings: str) -> Process:
        """Start a reindex. The test reads its standard output."""
        command = ("reindex", *arguments)
        return await self.start("consumer", settings, command, role="indexer", capture=True)

    async def start_operator(self, *arguments: str) -> Process:
        """Start an operator's command, such as reconcile."""
        return await self.start("consumer", {}, arguments, role="operator")

    async def run_operator(self, *arguments: str) -> int:
        """Run an operator's command to its end. Return its exit code."""
        process = await self.start_operator(*arguments)
        return await process.wait()

    @asynccontextmanager
    async def stub(self) -> "AsyncIterator[image_service_pb2_grpc.ImageServiceAsyncStub]":
        async with grpc.aio.insecure_channel(self.address) as channel:
            yield image_service_pb2_grpc.ImageServiceStub(channel)

    async def submit(
        self, url: str, *, request_id: str | None = None, customer: str = "acme", **fields: Any
    ) -> str:
        """Submit one URL, with further fields of the message. Return the request id."""
        chosen = request_id or str(uuid.uuid4())
        async with self.stub() as stub:
            request = pb.SubmitImageRequest(
                url=url, customer_id=customer, request_id=chosen, **fields
            )
            await stub.SubmitImage(request, timeout=30)
        return chosen

    async def wait_terminal(
        self, request_ids: Iterable[str], *, seconds: float = 240
    ) -> dict[str, pb.ImageRequest]:
        """Watch until all requests have ended. Return their last states by id."""
        ids = list(request_ids)
        last: dict[str, pb.ImageRequest] = {}

        async def watch(chunk: list[str]) -> None:
            async for event in stub.WatchRequest(pb.WatchRequestRequest(request_ids=chunk)):
                last[event.request.request_id] = event.request

        async with asyncio.timeout(seconds), self.stub() as stub:
            await asyncio.gather(
                *(watch(ids[at : at + _WATCH_CHUNK]) for at in range(0, len(ids), _WATCH_CHUNK))
            )
        return last

    async def kill(self, process: Process) -> None:
        """SIGKILL a process, and wait until it is gone."""
        process.kill()
        await process.wait()
        self.processes.remove(process)

    async def stop(self) -> None:
        """Drain all running processes. Fail if one of them does not exit with 0."""
        alive = [process for process in self.processes if process.returncode is None]
        for process in alive:
            process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(_STOP_S):
                codes = [await process.wait() for process in alive]
        except TimeoutError:
            for process in alive:
                if process.returncode is None:
                    process.kill()
            raise
        assert codes == [0] * len(codes), f"exit codes after SIGTERM: {codes}"

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
        """Start a process and do not wait until it is ready. `log` receives the output that is not captured.

        `endpoint` is a proxy for this process alone.
        """
        assert self.parent_pipe is not None
        own = self.environment(role or module, settings, endpoint)
        environment = {**without_aws(os.environ), **own}
        process: Process
        if self.forked if forked is None else forked:
            process = await (await launcher()).start(
                module,
                *arguments,
                environment=environment,
                pipe=self.parent_pipe,
                capture=Capture.STDOUT if capture else Capture.NOTHING,
                log=log,
            )
        else:
            process = await asyncio.create_subprocess_exec(
                *watched_command(self.parent_pipe, module, *arguments),
                env=environment,
                stdout=asyncio.subprocess.PIPE if capture else log,
                stderr=log,
                pass_fds=(self.parent_pipe,),
                start_new_session=True,
            )
        self.processes.append(process)
        return process

    def environment(
        self, role: str, settings: Mapping[str, str], endpoint: str | None = None
    ) -> dict[str, str]:
        """Return the settings of a process in `role`."""
        return {
            **self.aws.environment(role, endpoint or self.endpoint),
            **self.stack.environment(),
            **self.search,
            "METRICS_HOST": "127.0.0.1",
            "METRICS_PORT": str(self.port()),
            "ALLOWED_NETWORKS": "127.0.0.1/32",
            "CUSTOMER_TAG_KEY": "a key of the test suite",
            "RECEIVE_WAIT_S": "1",
            # One origin stands for many, and retries are immediate. Tests of these limits set their own values.
            "PER_HOST_LIMIT": "64",
            "RETRY_DELAY_S": "0",
            "LOG_LEVEL": "warning",
            "LOG_FORMAT": "console",
            **settings,
        }


async def _unless_ended(process: Process, ready: Coroutine[Any, Any, None]) -> None:
    """Wait until a process is ready. Fail if it ends first."""
    ended = asyncio.create_task(process.wait())
    try:
        await cancel_on(ready, ended)
    except Cancelled:
        raise AssertionError(f"it ended with {process.returncode} before it was ready") from None
    finally:
        ended.cancel()


@asynccontextmanager
async def system(
    aws: RecordingAws,
    *,
    endpoint: str | None = None,
    opensearch_url: str | None = None,
    forked: bool = True,
    **parameters: str,
) -> AsyncIterator[System]:
    """Deploy a stack for a system, without a process yet. `parameters` are those of the template.

    Its search engine is a file, or an index of its own if there is an OpenSearch.
    """
    name = f"t{uuid.uuid4().hex[:10]}"
    stack = await aws.deploy(name, **parameters)
    url = {"SEARCH_URL": opensearch_url} if opensearch_url else {}
    async with search_engine(url) as search:
        search["SEARCH_INDEX"] = name
        if opensearch_url is None:
            # On a busy machine a search may be slow.
            search["SEARCH_TIMEOUT_S"] = "30"
        with parent_pipe() as pipe:
            address = endpoint or aws.endpoint
            running = System(aws, stack, address, search, parent_pipe=pipe, forked=forked)
            try:
                yield running
            finally:
                await running.stop()
