"""Operators' commands during the traffic: retry-failed, reconcile and reindex, some of them killed."""

import asyncio
import random
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import IO

from aiobotocore.session import get_session

from harness.aws import RecordingAws
from harness.aws_proxy import aws_proxy
from harness.processes import Process
from harness.system import System
from robustness.faults.injector import FaultInjector
from robustness.history import History, OperatorRan, ProcessChanged
from robustness.system.cluster import Place

COMMANDS = ("retry-failed", "reconcile", "reindex")
RECONCILE = ("--margin=5", "--max-claims=1000", "--rate=100000")
"""As its CronJob does, but without the hour that a request must be old. So it also takes requests with a message."""
OPERATOR_VISIBILITY_S = 10.0
"""Seconds for which the messages that a killed command has received stay hidden; the command itself asks for more."""
_KILLED_SHARE = 0.3
_LATEST_KILL_S = 4.0
_LONGEST_PAUSE_S = 3.0


@dataclass(slots=True)
class Operator:
    """Runs one command at a time, behind a proxy of its own."""

    program_name: str
    system: System
    endpoint: str
    log: IO[bytes]
    history: History
    rng: random.Random
    process: Process | None = None
    killed: bool = False

    def signal(self, number: signal.Signals) -> bool:
        if self.process is None or self.process.returncode is not None:
            return False
        self.killed = True
        self.history.add(ProcessChanged(time.time(), self.program_name, number.name))
        with suppress(ProcessLookupError):
            self.process.send_signal(number)
        return True

    async def run(self, *arguments: str, killed_share: float = 0.0) -> int | None:
        """Run the command to its end. Return its exit code; None if it was killed."""
        began = time.time()
        self.killed = False
        command = (self.program_name, *arguments)
        self.process = await self.system.start(
            "consumer",
            {},
            command,
            role="indexer" if self.program_name == "reindex" else "operator",
            log=self.log,
            endpoint=self.endpoint,
        )
        ended = asyncio.create_task(self.process.wait())
        if self.rng.random() < killed_share:
            await asyncio.wait({ended}, timeout=self.rng.uniform(0.3, _LATEST_KILL_S))
            self.signal(self.rng.choice((signal.SIGKILL, signal.SIGTERM)))
        code = await ended
        result = None if self.killed else code
        self.history.add(OperatorRan(began, time.time(), command, result))
        return result


@dataclass(slots=True)
class Operators:
    """One operator for each command, and a second one for retry-failed."""

    named: dict[str, Operator]
    other_retry: Operator
    customers: list[str]
    rng: random.Random
    stopped: asyncio.Event = field(default_factory=asyncio.Event)

    async def run_all(self, failed_ids: Callable[[], list[str]]) -> None:
        """Run all commands again and again until `stopped` is set. `failed_ids` returns ids that were FAILED."""

        async def retry(operator: Operator) -> None:
            await operator.run(*self._selection(failed_ids()), killed_share=_KILLED_SHARE)

        async def reconcile() -> None:
            await self.named["reconcile"].run(*RECONCILE, killed_share=_KILLED_SHARE)

        async def reindex() -> None:
            await self.named["reindex"].run(killed_share=_KILLED_SHARE)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._repeat(lambda: retry(self.named["retry-failed"])))
            tasks.create_task(self._repeat(lambda: retry(self.other_retry)))
            tasks.create_task(self._repeat(reconcile))
            tasks.create_task(self._repeat(reindex))

    def _selection(self, failed_ids: list[str]) -> list[str]:
        """Return arguments of retry-failed: from the queue, by customer, by failure code, or by id."""
        customer = f"--customer={self.rng.choice(self.customers)}"
        selections = [[], [customer], [customer, "--failure-code=NOT_FOUND"]]
        if failed_ids:
            ids = self.rng.sample(failed_ids, min(5, len(failed_ids)))
            selections.append([f"--request-id={','.join(ids)}"])
        return self.rng.choice(selections)

    async def _repeat(self, command: Callable[[], Awaitable[None]]) -> None:
        while not self.stopped.is_set():
            await asyncio.sleep(self.rng.uniform(0.5, _LONGEST_PAUSE_S))
            await command()


@asynccontextmanager
async def operators(
    place: Place, injector: FaultInjector, customers: list[str], rng: random.Random
) -> AsyncIterator[Operators]:
    """Prepare the operators, each behind a proxy with the faults of `injector`."""
    await _report_empty_queue(place.aws, place.system)
    async with AsyncExitStack() as stack:
        log = stack.enter_context((place.folder / "operators.log").open("ab"))
        prepared: list[Operator] = []
        for command in (*COMMANDS, "retry-failed"):
            proxy = await stack.enter_async_context(aws_proxy(place.aws.endpoint))
            operator = Operator(command, place.system, proxy.endpoint, log, place.history, rng)
            proxy.hook = injector.hook(operator)
            prepared.append(operator)
        *named, other = prepared
        yield Operators({each.program_name: each for each in named}, other, customers, rng)


async def _report_empty_queue(aws: RecordingAws, system: System) -> None:
    """Report that the oldest message is new, as SQS does to CloudWatch; the embedded one does not.

    Without a value, reconcile would leave all requests alone while the queue has messages.
    """
    queue = system.stack.queue_url.rpartition("/")[2]
    async with get_session().create_client("cloudwatch", **aws.sdk()) as cloudwatch:
        await cloudwatch.put_metric_data(
            Namespace="AWS/SQS",
            MetricData=[
                {
                    "MetricName": "ApproximateAgeOfOldestMessage",
                    "Dimensions": [{"Name": "QueueName", "Value": queue}],
                    "Timestamp": datetime.now(UTC),
                    "Value": 0.0,
                }
            ],
        )
