"""The system in a simulation: a server, consumers and operators' jobs as processes, with the programs' own code.

Only what is outside of them is replaced: AWS (aws.py), the origins and the decoding of images, the metrics server.
"""

import argparse
import asyncio
import random
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from contextvars import Context
from dataclasses import dataclass, replace
from hashlib import sha256
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import structlog

from consumer.clients import open_clients
from consumer.fetching.fetcher import FetchResult
from consumer.fetching.host_limiter import HostBusy
from consumer.imaging import InspectionResult
from consumer.jobs import reconcile, retry_failed
from consumer.jobs.reopen import RetryStats
from consumer.settings import ConsumerSettings
from consumer.worker import app as worker
from core.aws.sqs import SqsQueue
from core.dynamodb.statements import Statements
from core.dynamodb.tables import Tables
from core.errors import ConnectFailed, ImageServiceError, NotFound
from core.model.image import Provenance
from core.model.request import ImageRequest, new_request
from core.runtime.clock import now_ms
from harness.outcomes import METADATA
from robustness.simulation.aws import SimulatedAws, clients, replace_aws
from robustness.simulation.dynamodb import SimulatedDynamoDb, Table
from robustness.simulation.history import History, Violation, check_end
from robustness.simulation.loop import PROCESS, Process, SimulatedLoop, run_schedule
from robustness.simulation.plan import Action, Operation, Origin, Plan, Submit
from robustness.simulation.sqs import SimulatedQueue

EPOCH_S = 1_700_000_000
VISIBILITY_TIMEOUT_S = 120
_RESTART_S = 3.0
_SUBMIT_TIMEOUT_S = 60.0
_MARGIN_S = 1_600.0
"""Reconcile's margin: its least documented value is 1,500 s, and a small one shortens the simulation."""
_SETTLE_STEP_S = 600.0
_MAX_STEPS = 30
_SLOW_ORIGIN_S = 20.0
_PAUSE_S = 2.0 * VISIBILITY_TIMEOUT_S
_MAX_CLAIMS = 2

SETTINGS = ConsumerSettings.model_validate(
    {
        "requests_table": "requests",
        "images_table": "images",
        "queue_url": "https://sqs/requests",
        "failed_requests_queue_url": "https://sqs/failed-requests",
        "dlq_url": "https://sqs/dlq",
        "bucket": "bucket",
        "topic_arn": "arn:aws:sns:eu-west-1:000000000000:topic",
        "customer_tag_key": "a key of the test suite",
        "public_base_url": "https://images.example/",
        "customer_shards": 1,
        "receive_wait_s": 20,
        "drain_grace_s": 10,
        "retry_delay_s": 5,
    }
)


class ScriptedOrigins:
    """Stands for Fetcher and DecodePool. Each URL has the results of its fetches in order."""

    def __init__(self, kill: Callable[[], None], pause: Callable[[], None]) -> None:
        self._kill = kill
        self._pause = pause
        self._scripts: dict[str, tuple[Origin, ...]] = {}
        self._fetched: Counter[str] = Counter()

    def serve(self, url: str, script: tuple[Origin, ...]) -> None:
        self._scripts[url] = script

    @asynccontextmanager
    async def fetch(self, url: str) -> AsyncIterator[FetchResult]:
        number = self._fetched[url]
        self._fetched[url] += 1
        script = self._scripts[url]
        result = script[number] if number < len(script) else Origin.OK
        await asyncio.sleep(_SLOW_ORIGIN_S if result is Origin.SLOW else 0.1)
        match result:
            case Origin.TRANSIENT:
                raise ConnectFailed
            case Origin.PERMANENT:
                raise NotFound
            case Origin.BUSY:
                raise HostBusy(1.0)
            case Origin.POISON:
                self._kill()
                await asyncio.sleep(0)
            case Origin.PAUSED:
                self._pause()
                await asyncio.sleep(0)
        yield FetchResult(f"{url} {number}".encode(), Provenance(final_url=url))

    async def inspect(self, body: bytes) -> InspectionResult:
        await asyncio.sleep(0.05)
        digest = sha256(body).hexdigest()
        return InspectionResult(body, replace(METADATA, sha256=digest), "jpg")

    async def close(self) -> None:
        pass


class _Decoder:
    """DecodePool's interface; its `close` is synchronous."""

    def __init__(self, origins: ScriptedOrigins) -> None:
        self.inspect = origins.inspect

    def close(self) -> None:
        pass


@dataclass
class _Server:
    process: Process
    admission: Any


class Simulation:
    """Runs one plan. `history` is complete once `run` has returned."""

    def __init__(self, plan: Plan, loop: SimulatedLoop) -> None:
        self._plan = plan
        self._loop = loop
        self._rng = random.Random(plan.seed)
        self.history = History(loop.time)
        self.queues = self._make_queues()
        tables = [Table("requests", "requestId"), Table("images", "imageId")]
        self.aws = SimulatedAws(
            plan,
            loop,
            SimulatedDynamoDb(
                tables,
                clock=loop.time,
                replica_lag=lambda: self._rng.choice([0.0, 0.5, 3.0]),
                on_write=self.history.row_written,
            ),
            {f"https://sqs/{name}": queue for name, queue in self.queues.items()},
            on_kill=self._on_kill,
            on_publish=self.history.published,
            on_call=self.history.log,
        )
        self._processes: list[Process] = []
        self._restarts: dict[Process, Callable[[], None]] = {}
        self._pollers: dict[Process, Any] = {}
        self._server: _Server | None = None
        self._work: set[asyncio.Task[Any]] = set()

    def _make_queues(self) -> dict[str, SimulatedQueue]:
        def queue(name: str, **options: Any) -> SimulatedQueue:
            return SimulatedQueue(
                name,
                clock=lambda: EPOCH_S + self._loop.time(),
                rng=self._rng,
                visibility_timeout=VISIBILITY_TIMEOUT_S,
                **options,
            )

        dlq = queue("dlq")
        return {
            "requests": queue(
                "requests",
                max_receives=self._plan.max_receives,
                dlq=dlq,
                on_send=self.history.message_sent,
                on_delete=self.history.message_deleted,
            ),
            "failed-requests": queue("failed-requests", on_send=self.history.failure_sent),
            "dlq": dlq,
        }

    async def run(self) -> None:
        """Execute the plan, end the faults, wait until all work is done, and check every promise."""
        self._start_server()
        for number in range(self._plan.consumers):
            self._start_consumer(number)
        await asyncio.gather(asyncio.sleep(self._plan.lasts), *self._traffic(), *self._operations())
        await self._settle()
        self.history.objects = self.aws.objects
        check_end(self.history)

    # Processes

    def _process(self, name: str, *, skew: int) -> Process:
        skews = self._plan.skews
        process = Process(name, skew_s=skews[skew] if skew < len(skews) else 0)
        self._processes.append(process)
        return process

    def _on_kill(self, process: Process) -> None:
        self.history.log(f"{process.name} killed")
        restart = self._restarts.get(process)
        if restart is not None:
            # In a context of its own: the timers of a killed process never fire.
            self._loop.call_later(_RESTART_S, restart, context=Context())

    def _kill_current(self) -> None:
        process = PROCESS.get()
        assert process is not None
        self._loop.stop_process(process, kill=True)
        self._on_kill(process)

    def _pause_current(self) -> None:
        process = PROCESS.get()
        assert process is not None
        self.history.log(f"{process.name} paused")
        self._loop.pause_process(process, _PAUSE_S)

    def _start_server(self) -> None:
        process = self._process("server", skew=0)
        self._restarts[process] = self._start_server
        self._server = _Server(process, process.call(self._open_server))

    def _open_server(self) -> Any:
        from server.submit.admission import SubmitAdmission

        aws = clients(self.aws)
        statements = Statements("requests", "images", shards=SETTINGS.customer_shards)
        tables = Tables(aws.dynamodb, aws.http.dynamodb, statements, SETTINGS.batching)
        sender = SqsQueue(aws.http.sqs, SETTINGS.queue_url, batching=SETTINGS.batching)
        return SubmitAdmission(tables, sender, max_pending=100)

    def _start_consumer(self, number: int) -> None:
        process = self._process(f"consumer {number}", skew=number + 1)
        self._restarts[process] = lambda: self._start_consumer(number)
        self._watch(process.spawn(self._consume(process)))

    async def _consume(self, process: Process) -> None:
        settings = SETTINGS.model_copy(update={"concurrency": self._plan.concurrency})
        async with open_clients(settings) as opened, worker.open_worker(settings, opened) as app:
            self._pollers[process] = app.poller
            await worker._poll(app, settings)
        self.history.log(f"{process.name} ended")
        self._loop.call_later(_RESTART_S, self._restarts[process], context=Context())

    async def _run_job(self, name: str, job: Callable[[], Awaitable[int]]) -> None:
        process = self._process(name, skew=99)
        self.history.log(f"{name} begins")

        async def run() -> None:
            try:
                await job()
            except ImageServiceError as error:
                self.history.log(f"{name} failed: {error}")

        task = process.spawn(run())
        while not task.done() and not process.killed:
            await asyncio.wait([task], timeout=5)

    def _watch(self, task: asyncio.Task[Any]) -> None:
        """Report an error that ends a process by itself."""
        self._work.add(task)

        def ended(task: asyncio.Task[Any]) -> None:
            self._work.discard(task)
            if not task.cancelled() and (error := task.exception()) is not None:
                self.history.violations.append(error)

        task.add_done_callback(ended)

    # Traffic and operators

    def _traffic(self) -> Iterator[Awaitable[None]]:
        rng = random.Random(self._plan.seed)
        self.origins = ScriptedOrigins(self._kill_current, self._pause_current)
        for number, submit in enumerate(self._plan.submits):
            url = f"https://origin.example/{number}"
            self.origins.serve(url, submit.origin)
            yield self._submit(str(uuid.UUID(int=rng.getrandbits(128), version=4)), url, submit)

    async def _submit(self, request_id: str, url: str, submit: Submit) -> None:
        await asyncio.sleep(submit.at)
        for _ in range(1 + submit.repeats):
            await self._submit_once(request_id, url)
            await asyncio.sleep(submit.again_s)

    async def _submit_once(self, request_id: str, url: str) -> None:
        """Submit, and record whether the server has acknowledged. A client gives up after a minute."""
        server = self._server
        assert server is not None

        def submit() -> asyncio.Future[ImageRequest]:
            request = new_request(
                request_id=request_id, customer_id="acme", url=url, labels={}, now=now_ms()
            )
            answer: asyncio.Future[ImageRequest] = server.admission.submit(request)
            return answer

        if server.process.stopped:
            return
        answer = server.process.call(submit)
        await asyncio.wait([answer], timeout=_SUBMIT_TIMEOUT_S)
        if answer.done() and answer.exception() is None:
            self.history.log(f"acknowledged {request_id[-4:]}")
            self.history.acknowledged.add(request_id)

    def _operations(self) -> Iterator[Awaitable[None]]:
        actions: dict[Action, Callable[[], Awaitable[None]]] = {
            Action.RETRY_QUEUE: self._retry_failed,
            Action.RECONCILE: self._reconcile,
            Action.STOP_CONSUMER: self._stop_consumer,
        }

        async def operate(operation: Operation) -> None:
            await asyncio.sleep(operation.at)
            for _ in range(operation.times):
                await actions[operation.action]()
                await asyncio.sleep(operation.every_s)

        return map(operate, self._plan.operations)

    async def _reconcile(self) -> None:
        arguments = argparse.Namespace(
            margin=_MARGIN_S, max_claims=_MAX_CLAIMS, segments=1, rate=1_000.0, checkpoint=None
        )
        await self._run_job("reconcile", lambda: reconcile._reconcile(SETTINGS, arguments))

    async def _retry_failed(self) -> None:
        arguments = argparse.Namespace(
            customer=None, request_id=None, failure_code=None, since=None, rate=1_000.0
        )
        await self._run_job(
            "retry-failed", lambda: retry_failed._retry(SETTINGS, arguments, RetryStats())
        )

    async def _stop_consumer(self) -> None:
        for process, poller in list(self._pollers.items()):
            if not process.stopped:
                self.history.log(f"{process.name} SIGTERM")
                process.call(poller.stop)
                del self._pollers[process]
                return

    # The end

    async def _settle(self) -> None:
        """End the faults, then let time pass, with reconcile when requests stay PENDING."""
        self.history.log("faults end")
        self.aws.heal()
        for process in self._processes:
            self._loop.resume_process(process)
        for step in range(_MAX_STEPS):
            await asyncio.sleep(20 if step < 10 else _SETTLE_STEP_S)  # noqa: PLR2004
            if self._settled():
                return
            if step >= 10:  # noqa: PLR2004
                await self._reconcile()
        raise Violation("the system does not come to rest")

    def _settled(self) -> bool:
        busy = self.queues["requests"].messages or self.queues["dlq"].messages
        ended = all(versions[-1].terminal for versions in self.history.rows.values())
        return ended and not busy

    async def close(self) -> None:
        """Cancel everything, the tasks of killed processes too. Their AWS calls end at once."""
        self.aws.closed = True
        for process in self._processes:
            process.skew_s = 0
        self._loop.bury(self._processes)
        self._restarts.clear()
        current = asyncio.current_task()
        for _ in range(20):
            tasks = [task for task in asyncio.all_tasks() if task is not current]
            if not tasks:
                break
            for task in sorted(tasks, key=hash):
                task.cancel()
            await asyncio.wait(tasks, timeout=100)


@contextmanager
def _environment(simulation: Simulation, loop: SimulatedLoop) -> Iterator[None]:
    """Replace the clocks, AWS and the outside of the worker. Each process sees its own wall clock."""

    def time_ns() -> int:
        process = PROCESS.get()
        skew = process.skew_s if process is not None else 0.0
        return round((EPOCH_S + skew + loop.time()) * 1e9)

    clock = SimpleNamespace(time_ns=time_ns, monotonic=loop.time, perf_counter=loop.time)
    with ExitStack() as stack:
        stack.enter_context(replace_aws(simulation.aws))
        stack.enter_context(_log_to(simulation.history))
        for module in ("core.runtime.clock", "consumer.worker.receive_queue"):
            stack.enter_context(patch(f"{module}.time", clock))
        stack.enter_context(patch.object(worker, "Fetcher", lambda _: simulation.origins))
        stack.enter_context(
            patch.object(worker, "DecodePool", lambda *_, **__: _Decoder(simulation.origins))
        )
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
    """Stands for the metrics server, the event-loop monitor, a progress bar: nothing depends on them."""

    def __init__(self, *_: Any) -> None:
        self.alive = True

    async def run(self) -> None:
        pass

    def __enter__(self) -> "_Nothing":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def advance(self, *_: object) -> None:
        pass


def simulate(plan: Plan) -> History:
    """Run a plan. Raises Violation if a promise is broken; the history is in `history` of the error."""
    simulations: list[Simulation] = []

    async def main(loop: SimulatedLoop) -> History:
        simulation = Simulation(plan, loop)
        simulations.append(simulation)
        with _environment(simulation, loop):
            try:
                await simulation.run()
            finally:
                await simulation.close()
        return simulation.history

    random.seed(plan.seed)
    try:
        return run_schedule(main, seed=plan.seed)
    except BaseException as error:
        error.add_note("\n".join(["history:", *simulations[0].history.lines]))
        raise
