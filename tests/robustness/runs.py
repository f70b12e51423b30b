"""The runs: the size of each, its processes, and its faults."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from robustness.faults.answers import BATCHES
from robustness.faults.injector import Fault, FaultRule, background
from robustness.history import Notified
from robustness.model.calls import OUTAGE, RETURNED
from robustness.session import Session
from robustness.stranding import expire_and_reuse, strand_once_and_twice, submit_all
from robustness.system.cluster import Program
from robustness.system.operators import COMMANDS

CUSTOMERS = 20
VISIBILITY_S = 10
"""Visibility timeout of the queue. Processes are suspended for longer."""


@dataclass(frozen=True, slots=True)
class RunPlan:
    """A run and its size. `rate` is in first submits per second, `interval_s` the mean time between two kills."""

    name: str
    faults: Callable[[Session, "RunPlan"], Awaitable[None]]
    requests: int
    rate: float
    kills: int = 0
    interval_s: float = 1.6
    share: float = 0.02
    """Share of the calls that each kind of fault hits."""
    outage_s: float = 60.0
    pauses: int = 0
    skew_s: int = 0
    network_interval_s: float = 0.0
    """Mean time between two disturbances of the way to Redis, and of that to OpenSearch; 0 is none."""
    small_disk: bool = False
    """Whether the search index is on a disk that can be full. Needs root."""
    healthy: int = 0
    """Requests that expire or go to the DLQ."""
    servers: int = 2
    consumers: int = 2
    tolerated: tuple[str, ...] = ()
    """Failure codes that the faults may cause, counted apart."""

    def programs(self) -> list[Program]:
        """Return the processes: the last server has two workers."""
        settings = {"RETRY_DELAY_S": "2", "CACHED_REQUEST_AGE_S": "5"}
        servers = [
            Program(
                f"server{number}",
                "server",
                "server",
                ("--workers", "2") if number == self.servers - 1 else (),
                settings,
                skew_s=-self.skew_s if number else 0,
            )
            for number in range(self.servers)
        ]
        consumers = [
            Program(
                f"consumer{number}",
                "consumer",
                "consumer",
                (),
                settings,
                skew_s=0 if number else -self.skew_s,
            )
            for number in range(self.consumers)
        ]
        indexer = Program("indexer", "indexer", "consumer", ("indexer",), settings)
        return [*servers, *consumers, indexer]


async def make_faults(run: Session, plan: RunPlan) -> None:
    """Make the traffic of a run with its faults."""
    links = [link for link in (run.redis, run.setup.opensearch) if link is not None]
    async with asyncio.TaskGroup() as tasks:
        disturbing = [
            tasks.create_task(link.disturb(plan.network_interval_s))
            for link in links
            if plan.network_interval_s
        ]
        await plan.faults(run, plan)
        for task in disturbing:
            task.cancel()


async def _smoke(run: Session, _: RunPlan) -> None:
    """No faults."""
    await run.traffic.run()


async def _kills(run: Session, plan: RunPlan) -> None:
    """Kill and stop processes, at random times and at failpoints."""
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(run.nemesis.kill(plan.kills, plan.interval_s, until=run.traffic.finished))
        points = tasks.create_task(
            _arm_failpoints(run, plan.interval_s * 2, "server", "consumer", "indexer")
        )
        await run.traffic.run()
        points.cancel()


async def _arm_failpoints(run: Session, interval_s: float, *programs: str) -> None:
    """Arm one failpoint after the other, until it is cancelled. At least one process of a program goes on."""
    while True:
        await asyncio.sleep(interval_s)
        run.injector.failpoints.arm(*filter(run.cluster.can_spare, programs))


async def _outage(run: Session, plan: RunPlan) -> None:
    """AWS is away in the middle of the traffic, first without answers, then with reset connections."""
    noise = background(plan.share)
    run.injector.rules = noise

    async def take_away() -> None:
        await asyncio.sleep(plan.requests / plan.rate * 0.2)
        run.injector.rules = (FaultRule(Fault.BLACK_HOLE, seconds=plan.outage_s),)
        run.phase(OUTAGE)
        await asyncio.sleep(plan.outage_s / 2)
        run.injector.rules = (FaultRule(Fault.RESET),)
        await asyncio.sleep(plan.outage_s / 2)
        run.injector.rules = noise
        run.phase(RETURNED)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(take_away())
        tasks.create_task(run.traffic.run())


async def _partial(run: Session, plan: RunPlan) -> None:
    """Entries of batches fail, answers are lost or empty."""
    lost = f"{BATCHES}|ReceiveMessage|PUT"
    run.injector.rules = (
        FaultRule(Fault.PARTIAL, plan.share * 10, operations=BATCHES),
        FaultRule(Fault.LOST, plan.share, operations=lost),
        FaultRule(Fault.ERROR_AFTER, plan.share, operations=lost),
        FaultRule(Fault.EMPTY, plan.share, operations=BATCHES),
    )
    await run.traffic.run()
    await asyncio.sleep(5)


async def _disorder(run: Session, plan: RunPlan) -> None:
    """Messages come twice and in another order, processes sleep, clocks differ."""
    run.injector.rules = (
        FaultRule(Fault.DUPLICATE, 0.8, operations="ReceiveMessage"),
        FaultRule(Fault.DELAY, 0.2, "DeleteMessageBatch|ChangeMessageVisibilityBatch", seconds=3.0),
    )
    async with asyncio.TaskGroup() as tasks:
        for member in run.cluster.named("consumer", "indexer"):
            tasks.create_task(run.nemesis.pause(member, plan.pauses, VISIBILITY_S))
        for member in run.cluster.servers:
            tasks.create_task(run.nemesis.pause(member, plan.pauses, 3.0))
        tasks.create_task(run.traffic.run())


async def _mixed(run: Session, plan: RunPlan) -> None:
    """Kills, failpoints, a pause, duplicates, and background faults of every kind."""
    run.injector.rules = (
        *background(plan.share),
        FaultRule(Fault.DUPLICATE, 0.3, operations="ReceiveMessage"),
    )
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(
            run.nemesis.pause(run.cluster.members["consumer0"], plan.pauses, VISIBILITY_S)
        )
        tasks.create_task(_kills(run, plan))


async def _operators(run: Session, plan: RunPlan) -> None:
    """Operators' commands run, and are killed, during kills. Then rows expire, and messages are stranded."""
    reused, once, twice = (run.setup.healthy[start::3] for start in range(3))

    def failed_ids() -> list[str]:
        return [each.id for each in run.history.of(Notified)[-500:] if "failure" in each.body]

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(submit_all(run, reused))
        tasks.create_task(run.nemesis.kill(plan.kills, plan.interval_s, until=run.traffic.finished))
        programs = ("server", "consumer", *COMMANDS)
        points = tasks.create_task(_arm_failpoints(run, plan.interval_s / 2, *programs))
        commands = tasks.create_task(run.operators.run_all(failed_ids))
        await run.traffic.run()
        points.cancel()
        run.injector.failpoints.disarm()
        run.operators.stopped.set()
        await commands
    await expire_and_reuse(run, reused)
    await strand_once_and_twice(run, once, twice)


async def _full_disk(run: Session, plan: RunPlan) -> None:
    """The disk of the search index is full during most of the traffic."""
    disk = run.setup.disk
    assert disk is not None

    async def fill() -> None:
        await asyncio.sleep(plan.requests / plan.rate * 0.2)
        disk.fill()
        run.phase("the disk is full")

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(fill())
        await run.traffic.run()
    await asyncio.sleep(5)
    disk.free()
    run.phase("the disk has room")


RUNS = {
    plan.name: plan
    for plan in (
        RunPlan(
            "mixed",
            _mixed,
            requests=1_000,
            rate=20.0,
            kills=12,
            interval_s=4.0,
            pauses=1,
            network_interval_s=8.0,
        ),
        RunPlan("smoke", _smoke, requests=600, rate=40.0),
        RunPlan("A", _kills, requests=1_500, rate=25.0, kills=30, interval_s=2.0),
        RunPlan("B", _outage, requests=1_500, rate=20.0, network_interval_s=10.0),
        RunPlan("C", _partial, requests=1_500, rate=30.0),
        RunPlan(
            "D",
            _disorder,
            requests=1_200,
            rate=25.0,
            pauses=3,
            skew_s=90,
            network_interval_s=10.0,
        ),
        RunPlan(
            "E",
            _operators,
            requests=1_000,
            rate=20.0,
            kills=10,
            interval_s=4.0,
            healthy=30,
            tolerated=("UNDELIVERABLE",),
        ),
        RunPlan("disk", _full_disk, requests=800, rate=25.0, small_disk=True),
    )
}


def sized(plan: RunPlan, **sizes: float | None) -> RunPlan:
    """Return the plan with other sizes. None keeps the size of the plan."""
    given = {
        name: type(getattr(plan, name))(size) for name, size in sizes.items() if size is not None
    }
    return replace(plan, **given)
