"""The system in a simulation: a server, consumers and operators' jobs as processes, with the programs' own code.

Only what is outside of them is replaced: AWS (aws.py), the origins and the decoding of images, the metrics server.
"""

import argparse
import asyncio
import random
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextvars import Context
from dataclasses import dataclass
from functools import partial
from typing import Any

from consumer.clients import open_clients
from consumer.jobs import reconcile, retry_failed
from consumer.jobs.reopen import RetryStats
from consumer.settings import ConsumerSettings
from consumer.worker import app as worker
from core.aws.sqs import SqsQueue
from core.dynamodb.statements import Statements
from core.dynamodb.tables import Tables
from core.errors import ImageServiceError
from core.model.request import ImageRequest, new_request
from core.runtime.clock import now_ms
from robustness.simulation.aws import SimulatedAws, clients
from robustness.simulation.dynamodb import SimulatedDynamoDb, Table
from robustness.simulation.environment import (
    EPOCH_S,
    ScriptedDecoder,
    ScriptedOrigins,
    simulated_environment,
)
from robustness.simulation.history import History, Violation, check_end
from robustness.simulation.loop import PROCESS, Process, SimulatedLoop, run_schedule
from robustness.simulation.plan import Action, Operation, Plan, Submit
from robustness.simulation.sqs import SimulatedQueue
from robustness.simulation.worker_model import WorkerModel
from server.capacity import Capacity
from server.lanes.rate import InteractiveRate
from server.lanes.selector import LaneSelector
from server.submit.admission import SubmitAdmission

VISIBILITY_TIMEOUT_S = 120
_RESTART_S = 3.0
_SUBMIT_TIMEOUT_S = 60.0
_MARGIN_S = 1_600.0
"""Reconcile's margin: its least documented value is 1,500 s, and a small one shortens the simulation."""
_SETTLE_STEPS_S = (*[20.0] * 10, *[600.0] * 20)
"""Waits for the system to come to rest. Reconcile runs after each of the long ones."""
_PAUSE_S = 2.0 * VISIBILITY_TIMEOUT_S
_MAX_CLAIMS = 2

_BULK_QUEUE_URL = "https://sqs/bulk"
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


@dataclass
class _Server:
    process: Process
    admission: SubmitAdmission


class Simulation:
    """Runs one plan. `history` is complete once `run` has returned."""

    def __init__(self, plan: Plan, loop: SimulatedLoop) -> None:
        self._plan = plan
        self._settings = SETTINGS.model_copy(
            update={
                "concurrency": plan.concurrency,
                "bulk_queue_url": _BULK_QUEUE_URL if plan.two_lanes else None,
            }
        )
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
            on_call=self._on_call,
            on_error=self.history.violations.append,
        )
        self.origins = ScriptedOrigins(pause=self._pause_current, on_fetch=self.history.fetched)
        self._processes: list[Process] = []
        self._restarts: dict[Process, Callable[[], None]] = {}
        self._workers: dict[Process, WorkerModel] = {}
        self._decoders: dict[Process, ScriptedDecoder] = {}
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

        def lane(name: str) -> SimulatedQueue:
            return queue(
                name,
                max_receives=self._plan.max_receives,
                dlq=dlq,
                on_send=self.history.message_sent,
                on_receive=self._on_receive,
                on_delete=self.history.message_deleted,
            )

        return {
            "requests": lane("requests"),
            "bulk": lane("bulk"),
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

    def _on_call(self, line: str) -> None:
        self.history.log(line)
        for model in self._workers.values():
            model.check()

    def _on_receive(self, message_id: str) -> None:
        for model in self._workers.values():
            model.check_receive(message_id)

    def _on_kill(self, process: Process) -> None:
        self.history.log(f"{process.name} killed")
        self._workers.pop(process, None)
        if process in self._decoders:
            self.history.deaths.update(self._decoders.pop(process).isolated)
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

    def _open_server(self) -> SubmitAdmission:
        aws = clients(self.aws)
        statements = Statements("requests", "images", shards=SETTINGS.customer_shards)
        tables = Tables(aws.http.dynamodb, statements, SETTINGS.batching)
        sender = SqsQueue(aws.http.sqs, SETTINGS.queue_url, batching=SETTINGS.batching)
        url = self._settings.bulk_queue_url
        bulk = url and SqsQueue(aws.http.sqs, url, batching=SETTINGS.batching)
        lanes = LaneSelector(sender, bulk or None, InteractiveRate(20, 100))
        return SubmitAdmission(tables, lanes, Capacity("submits", 100))

    def _start_consumer(self, number: int) -> None:
        process = self._process(f"consumer {number}", skew=number + 1)
        self._restarts[process] = lambda: self._start_consumer(number)
        self._watch(process.spawn(self._consume(process)))

    async def _consume(self, process: Process) -> None:
        settings = self._settings
        decoder = self._decoders[process] = ScriptedDecoder(self._kill_current)
        async with (
            open_clients(settings) as opened,
            worker.open_worker(settings, opened, decoder) as app,
        ):
            strict = self._plan.strict_workers
            model = WorkerModel(process, app, self.history, settings, strict=strict)
            self._workers[process] = model
            await worker._poll(app, settings)
            model.check_end()
        del self._workers[process]
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
        for number, submit in enumerate(self._plan.submits):
            url = f"https://origin.example/{number}"
            self.origins.serve(url, submit.origin)
            yield self._submit(str(uuid.UUID(int=rng.getrandbits(128), version=4)), url, submit)

    async def _submit(self, request_id: str, url: str, submit: Submit) -> None:
        await asyncio.sleep(submit.at)
        for _ in range(1 + submit.repeats):
            await self._submit_once(request_id, url, submit)
            await asyncio.sleep(submit.again_s)

    async def _submit_once(self, request_id: str, url: str, planned: Submit) -> None:
        """Submit, and record whether the server has acknowledged. A client gives up after a minute."""
        server = self._server
        assert server is not None

        def submit() -> asyncio.Future[ImageRequest]:
            request = new_request(
                request_id=request_id,
                customer_id=planned.customer,
                url=url,
                labels={},
                submit_id=f"{self._rng.getrandbits(32):08x}",
                now=now_ms(),
            )
            return server.admission.submit(request, bulk=planned.bulk)

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
            Action.RETRY_CUSTOMER: partial(self._retry_failed, customer="acme"),
            Action.RETRY_IDS: self._retry_ids,
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
        await self._run_job("reconcile", lambda: reconcile._reconcile(self._settings, arguments))

    async def _retry_failed(
        self, *, customer: str | None = None, request_ids: list[str] | None = None
    ) -> None:
        arguments = argparse.Namespace(
            customer=customer, request_id=request_ids, failure_code=None, since=None, rate=1_000.0
        )
        await self._run_job(
            "retry-failed", lambda: retry_failed._retry(self._settings, arguments, RetryStats())
        )

    async def _retry_ids(self) -> None:
        if self.history.rows:
            await self._retry_failed(request_ids=list(self.history.rows))

    async def _stop_consumer(self) -> None:
        for process, model in self._workers.items():
            if model.running and not model.stopping:
                self.history.log(f"{process.name} SIGTERM")
                model.stop()
                return

    # The end

    async def _settle(self) -> None:
        """End the faults, then let time pass, with reconcile when requests stay PENDING."""
        self.history.log("faults end")
        self.aws.heal()
        for process in self._processes:
            self._loop.resume_process(process)
        for seconds in _SETTLE_STEPS_S:
            await asyncio.sleep(seconds)
            if self.history.violations or self._settled():
                return
            if seconds == _SETTLE_STEPS_S[-1]:
                await self._reconcile()
        raise Violation("the system does not come to rest")

    def _settled(self) -> bool:
        busy = any(self.queues[name].messages for name in ("requests", "bulk", "dlq"))
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


def simulate(plan: Plan) -> History:
    """Run a plan. Raises Violation if a promise is broken, with the history as a note."""
    simulations: list[Simulation] = []

    async def main(loop: SimulatedLoop) -> History:
        simulation = Simulation(plan, loop)
        simulations.append(simulation)
        with simulated_environment(loop, simulation.aws, simulation.origins, simulation.history):
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
