"""The whole system as real processes: a server, consumers and indexers on a stack of their own."""

import asyncio
import os
import signal
import sys
import uuid
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from cli.local import readiness
from cli.local.embedded_aws import free_port, without_aws
from cli.local.search_engine import search_engine
from cli.local.stack import StackOutputs
from harness.aws import RecordingAws
from imageservice.v1 import image_service_pb2 as pb
from imageservice.v1 import image_service_pb2_grpc

_STOP_S = 40.0
_WATCH_CHUNK = 100


@dataclass(slots=True)
class System:
    """`endpoint` is where the processes find AWS: the embedded one, or a proxy before it.

    `search` are the settings of its search engine, a file of its own unless a test puts another there.
    """

    aws: RecordingAws
    stack: StackOutputs
    endpoint: str
    search: dict[str, str]
    address: str = ""
    processes: list[Process] = field(default_factory=list)

    async def start_server(self, *arguments: str, **settings: str) -> Process:
        """Start a server at an address that stays the same, and wait until it serves."""
        self.address = self.address or f"127.0.0.1:{free_port()}"
        process = await self._start(
            "server", {"GRPC_ADDRESS": self.address, "DRAIN_DELAY_S": "0", **settings}, arguments
        )
        async with grpc.aio.insecure_channel(self.address) as channel:
            await health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(), wait_for_ready=True, timeout=30
            )
        return process

    async def start_consumer(self, **settings: str) -> Process:
        return await self._start("consumer", settings)

    async def start_exporter(self, **settings: str) -> Process:
        return await self._start("consumer", settings, ("queue-exporter",), role="exporter")

    async def start_indexer(self, **settings: str) -> Process:
        """Start an indexer, and wait until it serves its metrics, which it does whatever is down."""
        settings = {"METRICS_PORT": str(free_port()), **settings}
        process = await self._start("consumer", settings, ("indexer",), role="indexer")
        await readiness.http_ok(f"http://127.0.0.1:{settings['METRICS_PORT']}/metrics")
        return process

    async def start_reindex(self, *arguments: str, **settings: str) -> Process:
        """Its standard output is the test's to read."""
        command = ("reindex", *arguments)
        return await self._start("consumer", settings, command, role="indexer", stdout=PIPE)

    async def start_operator(self, *arguments: str) -> Process:
        """Start a command of the consumer."""
        return await self._start("consumer", {}, arguments, role="operator")

    async def run_operator(self, *arguments: str) -> int:
        """Run a command of the consumer, such as reconcile, to its end; answer its exit status."""
        process = await self.start_operator(*arguments)
        return await process.wait()

    @asynccontextmanager
    async def stub(self) -> "AsyncIterator[image_service_pb2_grpc.ImageServiceAsyncStub]":
        async with grpc.aio.insecure_channel(self.address) as channel:
            yield image_service_pb2_grpc.ImageServiceStub(channel)

    async def submit(
        self, url: str, *, request_id: str | None = None, customer: str = "acme"
    ) -> str:
        """Submit one URL and answer its id."""
        chosen = request_id or str(uuid.uuid4())
        async with self.stub() as stub:
            request = pb.SubmitImageRequest(url=url, customer_id=customer, request_id=chosen)
            await stub.SubmitImage(request, timeout=30)
        return chosen

    async def wait_terminal(
        self, request_ids: Iterable[str], *, seconds: float = 90
    ) -> dict[str, pb.ImageRequest]:
        """Watch until every request has ended; answer their last states."""
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

    async def stop(self) -> None:
        """Drain every process that still lives; fail if one does not leave cleanly."""
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

    async def _start(
        self,
        module: str,
        settings: dict[str, str],
        arguments: tuple[str, ...] = (),
        *,
        role: str | None = None,
        stdout: int | None = None,
    ) -> Process:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", module, *arguments),
            env={**without_aws(os.environ), **self._environment(role or module, settings)},
            stdout=stdout,
        )
        self.processes.append(process)
        return process

    def _environment(self, role: str, settings: Mapping[str, str]) -> dict[str, str]:
        """What a process in `role` must find in its environment."""
        return {
            **self.aws.environment(role, self.endpoint),
            **self.stack.environment(),
            **self.search,
            "METRICS_HOST": "127.0.0.1",
            "METRICS_PORT": str(free_port()),
            "ALLOWED_NETWORKS": "127.0.0.1/32",
            "CUSTOMER_TAG_KEY": "a key of the test suite",
            "RECEIVE_WAIT_S": "1",
            "LOG_LEVEL": "warning",
            "LOG_FORMAT": "console",
            **settings,
        }


@asynccontextmanager
async def system(
    aws: RecordingAws,
    *,
    endpoint: str | None = None,
    opensearch_url: str | None = None,
    **parameters: str,
) -> AsyncIterator[System]:
    """A stack of one's own, without a process yet. `parameters` are the template's.

    Its search engine is a file, unless there is an OpenSearch, in which it has an index of its own.
    """
    name = f"t{uuid.uuid4().hex[:10]}"
    stack = await aws.deploy(name, **parameters)
    given = {"SEARCH_URL": opensearch_url} if opensearch_url else {}
    async with search_engine(given) as search:
        search["SEARCH_INDEX"] = name
        running = System(aws, stack, endpoint or aws.endpoint, search)
        try:
            yield running
        finally:
            await running.stop()
