"""What is outside of the programs in a simulation: clocks, AWS, origins, threads, the metrics server, and logs."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from hashlib import sha256
from types import SimpleNamespace
from typing import Any, Self
from unittest.mock import patch

import structlog

from consumer.byte_budget import ByteBudget, Reservation
from consumer.fetching.fetcher import FetchResult
from consumer.fetching.limits.host_customer import HostBusy
from consumer.imaging.result import InspectionResult
from consumer.jobs import retry_failed
from consumer.sandbox.decode_pool import Isolation
from consumer.worker import app as worker
from consumer.worker.journal import Journal, JournalEntry
from core.errors import ConnectFailed, NotFound
from core.model.image import Provenance
from harness.image_metadata import METADATA
from robustness.simulation.aws import SimulatedAws, replace_aws
from robustness.simulation.history import History
from robustness.simulation.loop import PROCESS, Process, SimulatedLoop
from robustness.simulation.plan import Origin

EPOCH_S = 1_700_000_000
"""Wall-clock time at the start of a simulation."""

_POISON = "poison "
_FETCH_S = {Origin.SLOW: 20.0, Origin.VERY_SLOW: 300.0}
"""The second is longer than the visibility timeout. A fetch has a time limit, but a run may wait for its turn."""


class ScriptedOrigins:
    """Stands for Fetcher. Each fetch of a URL returns another image.

    `pause` stops the process that calls it.
    """

    def __init__(self, *, pause: Callable[[], None], on_fetch: Callable[[str], None]) -> None:
        self._pause = pause
        self._on_fetch = on_fetch
        self._scripts: dict[str, tuple[Origin, ...]] = {}
        self._fetches: Counter[str] = Counter()

    def export_metrics(self) -> None:
        """Do nothing: the simulation reads no metrics."""

    def serve(self, url: str, script: tuple[Origin, ...]) -> None:
        """Give the results of the first fetches of a URL; later ones return an image."""
        self._scripts[url] = script

    async def fetch(self, url: str, _customer_id: str, _validator: object) -> FetchResult:
        number = self._fetches[url]
        self._fetches[url] += 1
        self._on_fetch(url)
        script = self._scripts[url]
        result = script[number] if number < len(script) else Origin.OK
        await asyncio.sleep(_FETCH_S.get(result, 0.1))
        match result:
            case Origin.TRANSIENT:
                raise ConnectFailed
            case Origin.PERMANENT:
                raise NotFound
            case Origin.BUSY:
                raise HostBusy(1.0)
            case Origin.PAUSED:
                self._pause()
                await asyncio.sleep(0)
        poison = _POISON if result is Origin.POISON else ""
        return FetchResult(f"{poison}{url} {number}".encode(), Provenance(final_url=url))

    def reserve(self, size: int) -> Reservation:
        return ByteBudget(size).reserve(size)

    async def close(self) -> None:
        pass


class ScriptedDecoder:
    """Stands for DecodePool, which has processes. `kill` stops the process that decodes a poisonous image."""

    def __init__(self, kill: Callable[[], None]) -> None:
        self._kill = kill
        self.isolated: Counter[str] = Counter()
        """The requests whose images are being decoded alone."""

    async def inspect(
        self,
        body: bytes,
        request_id: str,
        renditions: Sequence[str] = (),
        memory: Reservation | None = None,
        isolation: Isolation | None = None,
        *,
        customer_id: str = "",
    ) -> InspectionResult:
        del renditions, memory, customer_id
        if isolation is not None:
            isolation.begin()
            self.isolated[request_id] += 1
        await asyncio.sleep(0.05)
        if body.startswith(_POISON.encode()):
            self._kill()
            await asyncio.sleep(0)
        if isolation is not None:
            self.isolated[request_id] -= 1
            isolation.end()
        digest = sha256(body).hexdigest()
        return InspectionResult(body, replace(METADATA, sha256=digest), "jpg")

    async def wait_for_turn(self, _customer_id: str) -> None:
        pass


class SimulatedJournals:
    """Stands for JournalFolder. All simulated processes are on one machine."""

    def __init__(self) -> None:
        self._journals: dict[Process, _MemoryJournal] = {}

    def open_journal(self) -> Journal:
        process = PROCESS.get()
        assert process is not None
        self._journals[process] = _MemoryJournal(lambda: self._journals.pop(process))
        return self._journals[process]

    async def take_over(self) -> "list[_MemoryJournal]":
        return [journal for process, journal in self._journals.items() if process.killed]


class _MemoryJournal(Journal):
    """Stands for a Journal, and for a DeadJournal when its process was killed."""

    def __init__(self, forget: Callable[[], object]) -> None:
        super().__init__()
        self._places: dict[int, JournalEntry] = {}
        self.remove = forget

    @property
    def entries(self) -> tuple[JournalEntry, ...]:
        return tuple(self._places.values())

    def add(self, entry: JournalEntry) -> int:
        place = super().add(entry)
        self._places[place] = entry
        return place

    def clear(self, place: int) -> None:
        super().clear(place)
        del self._places[place]


@contextmanager
def simulated_environment(
    loop: SimulatedLoop, aws: SimulatedAws, origins: ScriptedOrigins, history: History
) -> Iterator[None]:
    """Let the programs run in this simulation. Each process sees its own wall clock."""

    def time_ns() -> int:
        process = PROCESS.get()
        skew = process.skew_s if process is not None else 0.0
        return round((EPOCH_S + skew + loop.time()) * 1e9)

    clock = SimpleNamespace(time_ns=time_ns, monotonic=loop.time)
    with ExitStack() as stack:
        stack.enter_context(replace_aws(aws))
        stack.enter_context(_log_to(history))
        for module in ("core.runtime.clock", "consumer.worker.receive_queue"):
            stack.enter_context(patch(f"{module}.time", clock))
        stack.enter_context(patch.object(worker, "Fetcher", lambda *_, **__: origins))
        journals = SimulatedJournals()
        stack.enter_context(patch.object(worker, "JournalFolder", lambda _: journals))
        for name in ("serve_metrics", "freeze_gc", "EventLoopMonitor"):
            stack.enter_context(patch.object(worker, name, _Nothing))
        stack.enter_context(patch.object(retry_failed, "Progress", _Nothing))
        yield


@contextmanager
def _log_to(history: History) -> Iterator[None]:
    """Make the warnings of the programs lines of the history."""

    def write(_logger: object, _level: str, event: MutableMapping[str, Any]) -> Any:
        process = PROCESS.get()
        name = process.name if process is not None else "caller"
        history.log(f"{name}: {dict(event)}")
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(
        processors=[structlog.processors.format_exc_info, write],
        wrapper_class=structlog.make_filtering_bound_logger("warning"),
    )
    try:
        yield
    finally:
        structlog.configure(**before)


class _Nothing:
    """Stands for the metrics server, the event-loop monitor and a progress bar: no other part depends on them."""

    def __init__(self, *_: Any) -> None:
        self.alive = True

    async def run(self) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def advance(self, *_: object) -> None:
        pass
