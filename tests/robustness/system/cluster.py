"""The processes of a run, each behind a proxy of its own, and started again when it ends."""

import asyncio
import random
import signal
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO

import psutil

from cli.local import readiness
from harness.aws import RecordingAws
from harness.aws_proxy import aws_proxy
from harness.processes import Process
from harness.reserved_port import ReservedPort
from harness.system import System
from robustness.faults.injector import FaultInjector
from robustness.history import WORKER_KILLED, History, ProcessChanged

HOST = "127.0.0.1"
_STOP_S = 60.0
_LONGEST_PAUSE_S = 2.0
"""Between the end of a process and its next start."""
_MAX_OWN_ENDS = 20


class StartFailed(Exception):
    """A process does not stay alive."""


def faketime() -> Path | None:
    """Return the library of Debian's package libfaketime, which shifts the clock of a process; None without it."""
    return next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)


@dataclass(frozen=True, slots=True)
class Program:
    """A process to be run: its name, the program as failpoints know it, and how it is started."""

    name: str
    program: str
    module: str
    arguments: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    skew_s: int = 0
    """Seconds by which its wall clock differs."""

    @property
    def role(self) -> str:
        return "indexer" if self.program == "indexer" else self.module

    def with_settings(self, settings: Mapping[str, str]) -> "Program":
        return replace(self, settings={**self.settings, **settings})

    def environment(self) -> dict[str, str]:
        if not self.skew_s:
            return dict(self.settings)
        clock = {
            "LD_PRELOAD": str(faketime()),
            "FAKETIME": f"{self.skew_s:+d}",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }
        return {**self.settings, **clock}


@dataclass(slots=True)
class Member:
    """A program of the cluster and its current process. It is started again until `stop`."""

    program: Program
    system: System
    endpoint: str
    log: IO[bytes]
    history: History
    rng: random.Random
    port: ReservedPort
    """Of gRPC if it is a server, otherwise of its metrics."""
    process: Process | None = None
    starts: int = 0
    ended_by_itself: int = 0
    ready: bool = False
    """Whether the current process has ever been ready."""
    signalled: bool = False
    """Whether the end of the current process was asked for."""
    stopping: bool = False
    allowed: asyncio.Event = field(default_factory=asyncio.Event)
    """Whether it may be started."""
    _watching: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        return self.program.name

    @property
    def program_name(self) -> str:
        return self.program.program

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port.number}"

    @property
    def is_server(self) -> bool:
        return self.program.module == "server"

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.returncode is None

    def signal(self, number: signal.Signals) -> bool:
        """Send a signal. Return whether there was a process.

        SIGTERM is for the first process alone. The others reach its workers too, as when a container ends or a machine
        sleeps.
        """
        if self.process is None or not self.running:
            return False
        self.note(number.name)
        self.signalled |= number in {signal.SIGKILL, signal.SIGTERM}
        with suppress(psutil.NoSuchProcess):
            first = psutil.Process(self.process.pid)
            workers = [] if number == signal.SIGTERM else first.children(recursive=True)
            for process in (first, *workers):
                process.send_signal(number)
        return True

    def kill_worker(self) -> bool:
        """Kill one of the workers of a server. Return whether there was one."""
        if self.process is None or not self.running:
            return False
        with suppress(psutil.NoSuchProcess):
            workers = psutil.Process(self.process.pid).children()
            if workers:
                self.note(WORKER_KILLED)
                self.rng.choice(workers).kill()
                self._watch_ready()
                return True
        return False

    def note(self, change: str) -> None:
        self.history.add(ProcessChanged(time.time(), self.name, change))

    async def keep_running(self) -> None:
        """Run the program, again and again."""
        self.allowed.set()
        while not self.stopping:
            await self.allowed.wait()
            self.signalled = False
            await self._start()
            assert self.process is not None
            self._watch_ready()
            code = await self.process.wait()
            if self._watching is not None:
                self._watching.cancel()
            self.ready = False
            self.note(f"ended {code}")
            self._check(code)
            if not self.stopping:
                await asyncio.sleep(self.rng.uniform(0, _LONGEST_PAUSE_S))

    def hold(self) -> None:
        """Stop it until `release`."""
        self.allowed.clear()
        self.signal(signal.SIGTERM)

    def release(self) -> None:
        self.allowed.set()

    async def wait_ready(self) -> None:
        if self.is_server:
            await readiness.grpc_serving(self.address)
        else:
            await readiness.http_ok(f"http://{self.address}/metrics")

    def _check(self, code: int) -> None:
        """Count an end that nobody asked for. Raises StartFailed if there are many of them."""
        if self.signalled or self.stopping:
            return
        self.ended_by_itself += 1
        if self.ended_by_itself > _MAX_OWN_ENDS:
            raise StartFailed(f"{self.name} ends with {code} again and again; see {self.log.name}")

    async def _start(self) -> None:
        where = "GRPC_ADDRESS" if self.is_server else "METRICS_PORT"
        address = {where: self.address if self.is_server else str(self.port.number)}
        self.starts += 1
        self.process = await self.system.start(
            self.program.module,
            {**self.program.environment(), **address},
            self.program.arguments,
            role=self.program.role,
            log=self.log,
            endpoint=self.endpoint,
            # A library is preloaded only by an exec.
            forked=not self.program.skew_s,
        )
        self.note("started")

    def _watch_ready(self) -> None:
        """Note when the process is ready, again after a worker was killed: it may have been the only one."""
        if self._watching is not None:
            self._watching.cancel()
        self._watching = asyncio.create_task(self._note_ready())

    async def _note_ready(self) -> None:
        await self.wait_ready()
        self.ready = True
        self.note("ready")


@dataclass(slots=True)
class Cluster:
    """All members by name."""

    members: dict[str, Member] = field(default_factory=dict)

    @property
    def servers(self) -> list[Member]:
        return [member for member in self.members.values() if member.is_server]

    def named(self, *programs: str) -> list[Member]:
        """Return the members that run one of these programs."""
        return [each for each in self.members.values() if each.program.program in programs]

    def can_spare(self, program: str) -> bool:
        """Return whether another process of a program would go on if one ended, or whether its only one is ready."""
        members = self.named(program)
        return sum(member.ready for member in members) >= min(2, len(members))

    async def wait_ready(self) -> None:
        await asyncio.gather(*(member.wait_ready() for member in self.members.values()))

    async def stop(self) -> None:
        """End all processes in order. Those that do not end in time are killed."""
        for member in self.members.values():
            member.stopping = True
            member.release()
            member.signal(signal.SIGCONT)
            member.signal(signal.SIGTERM)
        for member in self.members.values():
            if member.process is None:
                continue
            try:
                async with asyncio.timeout(_STOP_S):
                    await member.process.wait()
            except TimeoutError:
                member.signal(signal.SIGKILL)
                await member.process.wait()


@dataclass(frozen=True, slots=True)
class Place:
    """The surroundings of the processes. Logs are in `folder`, one file for each name."""

    aws: RecordingAws
    system: System
    history: History
    folder: Path


@asynccontextmanager
async def cluster(
    place: Place, programs: list[Program], injector: FaultInjector, rng: random.Random
) -> AsyncIterator[Cluster]:
    """Run `programs` until the end of the block."""
    started = Cluster()
    async with AsyncExitStack() as stack:
        for program in programs:
            proxy = await stack.enter_async_context(aws_proxy(place.aws.endpoint))
            log = stack.enter_context((place.folder / f"{program.name}.log").open("ab"))
            member = Member(
                program, place.system, proxy.endpoint, log, place.history, rng, ReservedPort()
            )
            proxy.hook = injector.hook(member)
            started.members[program.name] = member
        async with asyncio.TaskGroup() as keepers:
            for member in started.members.values():
                keepers.create_task(member.keep_running())
            try:
                await started.wait_ready()
                yield started
            finally:
                await asyncio.shield(started.stop())
