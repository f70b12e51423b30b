"""`python -m consumer queue-exporter`: how many messages the queues hold, for Prometheus.

A process of its own, because nobody else may be there to tell: consumers are scaled to none, and a backlog without a
consumer is what an operator must hear of. One is enough. SQS has no free metric that says as much within seconds.

Cost: a GetQueueAttributes for each queue every READ_INTERVAL_S; at the default of 15 s, three queues are 520,000 calls
a month ($0.21), and the two of search 350,000 more ($0.14).
"""

import argparse
import asyncio

import structlog
from prometheus_client import Counter, Gauge
from pydantic import AliasChoices, Field

from consumer.command import Command
from consumer.settings import RequestQueuesSettings
from core.aws.client import open_sqs
from core.aws.sqs import SqsQueue
from core.errors import DependencyUnavailable, RequestRejected
from core.runtime.event_loop_monitor import EventLoopMonitor
from core.runtime.metrics import serve_metrics
from core.runtime.signals import run_until_signal

QUEUE_MESSAGES = Gauge(
    "queue_messages",
    "Messages in a queue, as SQS approximates: visible ones wait, those in flight are held by a consumer. Gone while "
    "SQS cannot be read, for an error is no empty queue.",
    ["queue", "state"],
)
READ_FAILURES = Counter(
    "queue_read_failures_total", "Readings of a queue that SQS did not answer.", ["queue"]
)

_STATES = {
    "ApproximateNumberOfMessages": "visible",
    "ApproximateNumberOfMessagesNotVisible": "in_flight",
    "ApproximateNumberOfMessagesDelayed": "delayed",
}

_TIMEOUT_S = 5.0

_log = structlog.get_logger()


class QueueExporterSettings(RequestQueuesSettings):
    read_interval_s: float = Field(
        15, gt=0, le=300, description="Seconds between two readings of the queues."
    )
    search_queue_url: str = Field(
        "",
        description="The indexer's queue; empty where there is none (stack output SearchQueueUrl).",
    )
    search_dlq_url: str = Field(
        "",
        validation_alias=AliasChoices("search_dlq_url", "search_dead_letter_queue_url"),
        description="Dead-letter queue of the indexer's queue; empty if there is none (stack output SearchDlqUrl).",
    )

    @property
    def queues(self) -> dict[str, str]:
        """URLs by what metrics call them."""
        every = {
            "requests": self.queue_url,
            "failed_requests": self.failed_requests_queue_url,
            "dlq": self.dlq_url,
            "search": self.search_queue_url,
            "search_dlq": self.search_dlq_url,
        }
        return {name: url for name, url in every.items() if url}


async def run(settings: QueueExporterSettings, _arguments: argparse.Namespace) -> int:
    """Read the queues until SIGTERM."""
    stop = asyncio.Event()
    return await run_until_signal(_export_until(stop, settings), stop=stop.set)


COMMAND = Command(
    name="queue-exporter",
    help="export the number of messages in each queue to Prometheus",
    settings=QueueExporterSettings,
    run=run,
)


async def _export_until(stop: asyncio.Event, settings: QueueExporterSettings) -> int:
    queues = settings.queues
    for queue in queues:
        # A counter that is not there before it counts has no rate.
        READ_FAILURES.labels(queue)
    pulse = EventLoopMonitor()
    async with open_sqs() as sqs:
        serve_metrics(settings.metrics_host, settings.metrics_port, pulse.alive)
        tasks = [
            asyncio.create_task(pulse.run(), name="pulse"),
            *(
                asyncio.create_task(_follow(name, SqsQueue(sqs, url), settings.read_interval_s))
                for name, url in queues.items()
            ),
        ]
        await stop.wait()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    return 0


async def _follow(name: str, queue: SqsQueue, interval: float) -> None:
    """Read one queue again and again; the others do not wait for it."""
    while True:
        try:
            counts = await _read(queue)
        except (DependencyUnavailable, RequestRejected, LookupError, ValueError) as error:
            _log.warning("a queue cannot be read", queue=name, error=str(error))
            READ_FAILURES.labels(name).inc()
            QUEUE_MESSAGES.remove_by_labels({"queue": name})
        else:
            for state, count in counts.items():
                QUEUE_MESSAGES.labels(name, state).set(count)
        await asyncio.sleep(interval)


async def _read(queue: SqsQueue) -> dict[str, int]:
    """Messages by state. Raises DependencyUnavailable, RequestRejected, and LookupError or ValueError."""
    attributes = await queue.attributes(*_STATES, seconds=_TIMEOUT_S)
    return {state: int(attributes[attribute]) for attribute, state in _STATES.items()}
