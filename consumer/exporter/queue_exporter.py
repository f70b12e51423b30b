"""`python -m consumer queue-exporter`: exports the number of messages in each queue to Prometheus.

It is a separate process, because a backlog must be visible if no consumer runs, for example after KEDA has scaled to
zero. One replica is enough. SQS has no free metric with a delay of seconds.

Cost: one GetQueueAttributes per queue every READ_INTERVAL_S. At the default of 15 s, four queues cost 690,000 calls a
month ($0.28), and the two queues of search 350,000 more ($0.14).
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
from core.runtime.metrics import initialise_aws_calls, serve_metrics
from core.runtime.signals import run_until_signal

QUEUE_MESSAGES = Gauge(
    "queue_messages",
    "Approximate number of messages in a queue; requests is the interactive lane. visible: waiting; in_flight: in "
    "process; delayed: sent with a delay. No value while SQS does not answer, because an error is not an empty queue.",
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
        "", description="The indexer's queue; empty if there is none (stack output SearchQueueUrl)."
    )
    search_dlq_url: str = Field(
        "",
        validation_alias=AliasChoices("search_dlq_url", "search_dead_letter_queue_url"),
        description="Dead-letter queue of the indexer's queue; empty if there is none (stack output SearchDlqUrl).",
    )

    @property
    def queues(self) -> dict[str, str]:
        """Queue URLs by their value of the metrics label `queue`."""
        every = {
            "requests": self.queue_url,
            "bulk": self.bulk_queue_url or "",
            "failed_requests": self.failed_requests_queue_url,
            "dlq": self.dlq_url,
            "search": self.search_queue_url,
            "search_dlq": self.search_dlq_url,
        }
        return {name: url for name, url in every.items() if url}


async def run(settings: QueueExporterSettings, _arguments: argparse.Namespace) -> int:
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
        # Initialise all label values to 0: rate() misses the first increment of a new series.
        READ_FAILURES.labels(queue)
    initialise_aws_calls("sqs:GetQueueAttributes")
    monitor = EventLoopMonitor()
    async with open_sqs() as sqs:
        serve_metrics(settings.metrics_host, settings.metrics_port, monitor.alive)
        tasks = [
            asyncio.create_task(monitor.run(), name="event loop monitor"),
            *(
                asyncio.create_task(
                    _export_forever(name, SqsQueue(sqs, url), settings.read_interval_s)
                )
                for name, url in queues.items()
            ),
        ]
        await stop.wait()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    return 0


async def _export_forever(name: str, queue: SqsQueue, interval: float) -> None:
    """Read one queue repeatedly. A slow queue does not delay the others."""
    while True:
        try:
            counts = await _read(queue)
        except (DependencyUnavailable, RequestRejected) as error:
            _log.warning("queue not read", queue=name, error=str(error))
            READ_FAILURES.labels(name).inc()
            QUEUE_MESSAGES.remove_by_labels({"queue": name})
        else:
            for state, count in counts.items():
                QUEUE_MESSAGES.labels(name, state).set(count)
        await asyncio.sleep(interval)


async def _read(queue: SqsQueue) -> dict[str, int]:
    """Return the number of messages by state. Raises DependencyUnavailable or RequestRejected."""
    attributes = await queue.attributes(*_STATES, seconds=_TIMEOUT_S)
    return {state: attributes[attribute] for attribute, state in _STATES.items()}
