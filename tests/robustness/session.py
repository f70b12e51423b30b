"""One run from its start to its verdict: the system, its traffic, its observers, and the end in which all must hold."""

import asyncio
import random
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from harness.aws import RecordingAws
from harness.system import System, system
from robustness.faults.disk import SmallDisk
from robustness.faults.failpoints import Failpoints
from robustness.faults.injector import Fault, FaultInjector, FaultRule
from robustness.faults.nemesis import Nemesis
from robustness.faults.tcp import TcpProxy, redis_link, redis_settings
from robustness.history import Counted, Fetched, History, PhaseBegan
from robustness.report import HIT, NOT_HIT
from robustness.system.cluster import Cluster, Place, Program, cluster
from robustness.system.operators import OPERATOR_VISIBILITY_S, RECONCILE, Operators, operators
from robustness.system.recorder import PublishedImage, StoreRecorder, store_recorder
from robustness.traffic.client import Callers, callers
from robustness.traffic.observers import LISTS, Observers, read_image, walk
from robustness.traffic.origin import ImageOrigin, image_origin
from robustness.traffic.plan import PlannedRequest
from robustness.traffic.submits import Traffic

_PROGRESS_S = 5.0
_SETTLE_POLL_S = 1.0
_FINAL_READ_TRIES = 60
_CONCURRENT_READS = 32


@dataclass(slots=True)
class Session:
    """The parts of a run."""

    setup: "Setup"
    history: History
    system: System
    cluster: Cluster
    injector: FaultInjector
    nemesis: Nemesis
    traffic: Traffic
    observers: Observers
    recorder: StoreRecorder
    callers: Callers
    origin: ImageOrigin
    operators: Operators
    redis: TcpProxy | None
    """The way to Redis; None if redis-server is not installed."""
    began: float = field(default_factory=time.monotonic)

    def say(self, text: str) -> None:
        sys.stderr.write(f"{time.monotonic() - self.began:6.0f} s  {text}\n")

    def phase(self, name: str) -> None:
        self.history.add(PhaseBegan(time.time(), name))
        self.say(name)

    async def report_progress(self) -> None:
        """Print a line from time to time, until it is cancelled."""
        while True:
            await asyncio.sleep(_PROGRESS_S)
            self.say(
                f"{len(self.traffic.accepted_at)} of {len(self.traffic.requests)} accepted, "
                f"{len(self.recorder.notified)} revisions notified, {self.nemesis.kills} kills, "
                f"{sum(self.injector.failpoints.hit.values())} failpoints, "
                f"{sum(self.injector.injected.values())} faults"
            )

    async def until_quiet(self) -> bool:
        """Wait until no request is PENDING and the queues are empty, with reconcile as a CronJob would run it.

        Return False if that takes longer than the time of the run for it.
        """
        reconcile = self.operators.named["reconcile"]
        deadline = time.monotonic() + self.setup.settle_s
        while True:
            depths = await self.recorder.depths()
            if time.monotonic() > deadline:
                self.say(f"not settled: {depths}, {len(await self.recorder.pending())} pending")
                return False
            if not depths["queue"] and (depths["dlq"] or await self.recorder.pending()):
                await reconcile.run(*RECONCILE)
            elif not any(depths[name] for name in ("queue", "search")):
                return True
            await asyncio.sleep(_SETTLE_POLL_S)

    async def settle(self) -> None:
        self.phase("settling")
        if await self.until_quiet():
            self.phase("settled")

    async def read_all(self) -> None:
        """Read everything that the model compares, after the end of the traffic."""
        await self.cluster.wait_ready()
        await self.recorder.record_tables()
        limit = asyncio.Semaphore(_CONCURRENT_READS)

        async def read(request_id: str) -> None:
            async with limit:
                for _ in range(_FINAL_READ_TRIES):
                    error = await self.callers.status(request_id, final=True)
                    if error is None or error.code == "NOT_FOUND":
                        return
                    await asyncio.sleep(1)

        await asyncio.gather(*(read(request_id) for request_id in self.traffic.requests))
        await self._read_lists(LISTS)
        await self.operators.named["reindex"].run()
        self.phase("reindexed")
        await self._read_lists(("search",))
        await self._read_images(limit)
        await self.recorder.record_objects()
        await self.recorder.record_failed_requests()

    async def _read_lists(self, names: tuple[str, ...]) -> None:
        for customer in self.observers.customers:
            for name in names:
                await walk(self.callers, name, customer, final=True)

    async def _read_images(self, limit: asyncio.Semaphore) -> None:
        """Read each image record that exists, through GetImage and through its public URL."""
        rows = await self.recorder.stores.images()

        async def read(image_id: str, request_id: str) -> None:
            async with limit:
                await read_image(self.callers, image_id, request_id, final=True)

        await asyncio.gather(*(read(row["imageId"]["S"], row["requestId"]["S"]) for row in rows))
        published: dict[str, PublishedImage] = {}
        base = self.system.stack.public_base_url
        for row in rows:
            metadata = row["metadata"]["M"]
            key = row["s3Url"]["S"].removeprefix("s3://").partition("/")[2]
            published[row["requestId"]["S"]] = PublishedImage(
                row["requestId"]["S"],
                base + key,
                metadata["sha256"]["S"],
                int(metadata["bytes"]["N"]),
                metadata["mediaType"]["S"],
            )
        await self.recorder.read_objects(list(published.values()))

    def record_counts(self) -> None:
        for request_id in self.traffic.requests:
            self.history.add(Fetched(request_id, self.origin.fetches[request_id]))
        points, search = self.injector.failpoints, self.setup.opensearch
        members = self.cluster.members.values()
        counts: dict[str, Mapping[str, int]] = {
            "faults": self.injector.injected,
            HIT: {str(point): points.hit[point] for point in sorted(points.hit)},
            NOT_HIT: {
                str(point): points.seen[point]
                for point in sorted(points.seen - points.hit)
                if not points.hit[point]
            },
            "redis": dict(self.redis.changes) if self.redis else {},
            "opensearch": dict(search.changes) if search else {},
            "starts": {member.name: member.starts for member in members},
            "ended by themselves": {
                each.name: each.ended_by_itself for each in members if each.ended_by_itself
            },
        }
        for name, count in counts.items():
            self.history.add(Counted(name, dict(count)))


@dataclass(frozen=True, slots=True)
class Setup:
    """The inputs of a session. `healthy` are requests that no plan submits; `parameters` those of the stack.

    The search index is in OpenSearch, or in a file on `disk`, or in a file.
    """

    programs: list[Program]
    requests: list[PlannedRequest]
    healthy: list[PlannedRequest]
    seed: int
    folder: Path
    settle_s: float
    disk: SmallDisk | None
    opensearch: TcpProxy | None
    parameters: dict[str, str]

    def all_requests(self) -> list[PlannedRequest]:
        return [*self.requests, *self.healthy]

    def customers(self) -> list[str]:
        return sorted(
            {each.customer for request in self.all_requests() for each in request.contents}
        )

    def rng(self, purpose: str) -> random.Random:
        return random.Random(f"{self.seed} {purpose}")


@asynccontextmanager
async def session(aws: RecordingAws, setup: Setup, history: History) -> AsyncIterator[Session]:
    """Start the system and its observers. The block makes the traffic and the faults.

    After the block, the faults end, and everything that the model compares is read.
    """
    async with AsyncExitStack() as stack:
        sys.stderr.write("starting …\n")
        run = await _open(stack, aws, setup, history)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(run.recorder.run())
            tasks.create_task(run.observers.run())
            progress = tasks.create_task(run.report_progress())
            yield run
            run.injector.rules = ()
            run.injector.failpoints.disarm()
            await run.settle()
            run.observers.stopped.set()
            await run.read_all()
            run.recorder.stopped.set()
            progress.cancel()
        run.record_counts()


async def _open(
    stack: AsyncExitStack, aws: RecordingAws, setup: Setup, history: History
) -> Session:
    """Start all processes, and wait until they are ready."""
    points = Failpoints(setup.rng("failpoints"))
    injector = FaultInjector(setup.rng("faults"), points)
    origin = await stack.enter_async_context(image_origin())
    running = await stack.enter_async_context(_system(aws, setup))
    recorder = await stack.enter_async_context(store_recorder(running, history))
    redis = await stack.enter_async_context(redis_link(setup.folder, setup.rng("redis")))
    programs = [each.with_settings(redis_settings(redis)) for each in setup.programs]
    place = Place(aws, running, history, setup.folder)
    members = await stack.enter_async_context(
        cluster(place, programs, injector, setup.rng("restarts"))
    )
    customers = setup.customers()
    # The commands of operators have failpoints, and no faults.
    commands = await stack.enter_async_context(
        operators(place, _of_operators(setup, points), customers, setup.rng("operators"))
    )
    addresses = {each.name: each.address for each in members.servers}
    calls = await stack.enter_async_context(callers(addresses, history, setup.rng("servers")))
    traffic = Traffic(calls, origin, {each.id: each for each in setup.all_requests()})
    traffic.record_plan()
    return Session(
        setup=setup,
        history=history,
        system=running,
        cluster=members,
        injector=injector,
        nemesis=Nemesis(members, setup.rng("nemesis")),
        traffic=traffic,
        observers=Observers(calls, traffic, customers, setup.rng("observers")),
        recorder=recorder,
        callers=calls,
        origin=origin,
        operators=commands,
        redis=redis,
    )


def _of_operators(setup: Setup, points: Failpoints) -> FaultInjector:
    held = FaultRule(Fault.SHORT_HOLD, operations="ReceiveMessage", seconds=OPERATOR_VISIBILITY_S)
    return FaultInjector(setup.rng("operators' faults"), points, (held,))


@asynccontextmanager
async def _system(aws: RecordingAws, setup: Setup) -> AsyncIterator[System]:
    link = setup.opensearch
    opensearch = None if link is None else f"http://127.0.0.1:{link.port}"
    async with system(
        aws, opensearch_url=opensearch, endpoint=None, forked=True, **setup.parameters
    ) as running:
        if setup.disk is not None:
            running.search["SEARCH_URL"] = f"sqlite:///{setup.disk.folder}/search.db"
        yield running
