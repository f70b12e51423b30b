"""A consumer inside the memory of a pod, with measurements of what it does."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from cluster.bombs.memory_group import MemoryGroup
from harness.metrics import MetricsPort
from harness.origin import Origin
from harness.processes import Process
from harness.system import System
from imageservice.v1 import image_service_pb2 as pb

_INTERVAL_S = 0.1
"""Between two ordinary images."""
_HOUR_S = 3_600.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """How the request of a file ended. `seconds` since its acceptance; CPU time of all processes of the consumer."""

    name: str
    state: str
    detail: str
    seconds: float
    cpu_seconds: float


@dataclass(slots=True)
class Run:
    """`pids` are the worker and its fork server: the run fails if one of them is replaced."""

    running: System
    images: Origin
    group: MemoryGroup
    consumer: Process
    log: Path
    pids: frozenset[int] = frozenset()
    verdicts: list[Verdict] = field(default_factory=list)

    async def serve(self, files: Mapping[str, bytes]) -> dict[str, str]:
        """Return the URL of each file."""
        return {
            name: self.images.serve_body(f"/bombs/{number}-{len(body)}", body)
            for number, (name, body) in enumerate(files.items())
        }

    async def one_by_one(self, urls: Mapping[str, str]) -> list[Verdict]:
        """Let each file end before the next one is submitted."""
        verdicts = []
        for name, url in urls.items():
            before = await asyncio.to_thread(self.group.cpu_seconds)
            request = await self._end(url, "builder")
            cpu = await asyncio.to_thread(self.group.cpu_seconds) - before
            verdicts.append(_verdict(name, request, cpu))
        return verdicts

    async def together(self, urls: Mapping[str, str], count: int) -> list[Verdict]:
        """Submit `count` files at once, and wait until all have ended."""
        names = [list(urls)[number % len(urls)] for number in range(count)]
        requests = await asyncio.gather(*(self._end(urls[name], "bomber") for name in names))
        return [_verdict(name, request, 0) for name, request in zip(names, requests, strict=True)]

    async def _end(self, url: str, customer: str) -> pb.ImageRequest:
        request_id = await self.running.submit(url, customer=customer)
        return (await self.running.wait_terminal([request_id], seconds=_HOUR_S))[request_id]

    @asynccontextmanager
    async def ordinary(self, url: str) -> AsyncIterator[list[float]]:
        """Submit an ordinary image ten times a second until the block ends. Then put the latencies into the list.

        A latency is the time from the acceptance to the end of a request, in seconds.
        """
        latencies: list[float] = []
        stopped = asyncio.Event()
        submitting = asyncio.create_task(self._submit_until(stopped, url))
        try:
            yield latencies
        finally:
            stopped.set()
            ids = await submitting
        ended = await self.running.wait_terminal(ids, seconds=_HOUR_S)
        assert {request.state for request in ended.values()} == {pb.STATE_COMPLETED}
        latencies += sorted(_seconds(request) for request in ended.values())

    async def _submit_until(self, stopped: asyncio.Event, url: str) -> list[str]:
        """Return the ids of the requests."""
        submits: list[asyncio.Task[str]] = []
        while not stopped.is_set():
            submit = self.running.submit(f"{url}?{len(submits)}", customer="ordinary")
            submits.append(asyncio.create_task(submit))
            with suppress(TimeoutError):
                async with asyncio.timeout(_INTERVAL_S):
                    await stopped.wait()
        return await asyncio.gather(*submits)

    async def decoder_ends(self) -> Counter[str]:
        """Return how many decoders died, by reason. Those that were stopped at a limit are not among them."""
        text = await asyncio.to_thread(self.log.read_text)
        lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
        return Counter(line["reason"] for line in lines if line["event"] == "decoder ended")


@asynccontextmanager
async def consumer_in_group(
    running: System, images: Origin, group: MemoryGroup, log: Path
) -> AsyncIterator[Run]:
    """Start a consumer as production does, with its default settings, in the group."""
    port = MetricsPort()
    with log.open("wb") as out:
        process = await running.start(
            "consumer",
            {**port.settings, "LOG_FORMAT": "json", "LOG_LEVEL": "info"},
            log=out,
            forked=False,
        )
        await asyncio.to_thread(group.add, process.pid)
        await port.until_served()
        run = Run(running, images, group, process, log)
        run.pids = frozenset(await asyncio.to_thread(run_parents, group))
        assert process.pid in run.pids
        assert len(run.pids) == 2, "the worker and its fork server are in the group"
        yield run


def run_parents(group: MemoryGroup) -> set[int]:
    """Return those processes of the group that have children in it: the worker, and the fork server."""
    parents = {_parent(pid) for pid in group.pids()}
    return parents & set(group.pids())


def _parent(pid: int) -> int:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return int(stat.rpartition(")")[2].split()[1])


def _seconds(request: pb.ImageRequest) -> float:
    ended = request.update_time.ToMilliseconds() - request.create_time.ToMilliseconds()
    return ended / 1_000


def _verdict(name: str, request: pb.ImageRequest, cpu: float) -> Verdict:
    failed = request.state == pb.STATE_FAILED
    code = pb.FailureCode.Name(request.failure.code).removeprefix("FAILURE_CODE_")
    return Verdict(
        name=name,
        state=code if failed else pb.State.Name(request.state).removeprefix("STATE_"),
        detail=request.failure.message,
        seconds=_seconds(request),
        cpu_seconds=cpu,
    )
