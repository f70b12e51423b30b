"""Metrics of the consumer. What they count follows OpenTelemetry's meanings for messaging, where it has one.

Source: "Semantic conventions for messaging client metrics": `messaging.client.consumed.messages`,
`messaging.process.duration`.
"""

import time
from functools import cache

from prometheus_client import Counter, Gauge, Histogram

from core.errors import FailureCode
from core.model.request import State

RECEIVED = Counter(
    "consumer_received_messages_total",
    "Messages received: first for a request, again, suspect of having killed a process, or malformed.",
    ["kind"],
)
IN_FLIGHT = Gauge("consumer_in_flight_messages", "Messages held: worked on or waiting to be.")
CONCURRENCY = Gauge(
    "consumer_concurrency",
    "CONCURRENCY: messages that may be held at the same time, but for an outage or a run alone, when it is one.",
)
OLDEST_MESSAGE_AGE_SECONDS = Gauge(
    "consumer_oldest_message_age_seconds",
    "Age of the oldest message held, since it was last sent (SentTimestamp); 0 when none is held.",
)
OLDEST_PENDING_AGE_SECONDS = Gauge(
    "consumer_oldest_pending_age_seconds",
    "Longest time since acceptance, or redrive, of the requests whose messages were held in the last minute; 0 where "
    "none was. To be given back does not begin it anew.",
)
PROCESS_SECONDS = Histogram(
    "consumer_process_duration_seconds",
    "Time that a message was held, from its receive until it was finished, given back or let go.",
    ["outcome"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300),
)
REQUEST_SECONDS = Histogram(
    "consumer_request_seconds",
    "Time from a request's acceptance, or its redrive, to its end: what its customer waited.",
    ["state"],
    buckets=(0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1_800, 3_600, 21_600, 86_400),
)
ENDED = Counter(
    "consumer_ended_requests_total",
    "Requests that consumers ended, by state and failure code. Those that reconcile fails are in its log alone.",
    ["state", "failure_code"],
)
GIVEN_BACK = Counter(
    "consumer_given_back_messages_total", "Messages given back to the queue, by reason.", ["reason"]
)
QUEUE_AGE_SECONDS = Histogram(
    "consumer_queue_age_seconds",
    "Age of a message when it was received, since it was last sent.",
    buckets=(0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3_600, 21_600, 86_400),
)
STEP_SECONDS = Histogram(
    "consumer_step_seconds",
    "Time of one step of the pipeline.",
    ["step"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 90),
)
FETCH_FAILURES = Counter(
    "consumer_fetch_failures_total",
    "Attempts to fetch that failed, those that were followed by another included.",
    ["failure_code"],
)
BYTES_IN = Counter("consumer_fetched_bytes_total", "Bytes of bodies fetched from origins.")
BYTES_OUT = Counter("consumer_stored_bytes_total", "Bytes of objects stored.")
OUTAGE = Gauge("consumer_outage", "1 while an AWS service that we need is down, else 0.")
HEARTBEAT_FAILURES = Counter(
    "consumer_heartbeat_failures_total",
    "Calls that could not extend the visibility timeout of held messages, and single messages that SQS refused.",
)


@cache
def _step(name: str) -> Histogram:
    # Looking a label up costs more than counting.
    return STEP_SECONDS.labels(name)


def prepare() -> None:
    """Tell of what has not happened yet as 0: a series that is born at 1 has no rate, and its first event is lost."""
    for state in (State.COMPLETED, State.FAILED):
        _request(state)
    _ended(State.COMPLETED, "")
    for code in FailureCode:
        _ended(State.FAILED, code)
        fetch_failed(code)
    for outcome in ("finished", "given_back", "let_go"):
        process_seconds(outcome)
    for kind in ("first", "again", "suspect", "malformed"):
        received(kind)


def observe_step(name: str, started: float) -> None:
    """Record a step that began at `started`, in seconds of `time.perf_counter`."""
    _step(name).observe(time.perf_counter() - started)


@cache
def received(kind: str) -> Counter:
    """The counter of messages of one kind."""
    return RECEIVED.labels(kind)


@cache
def fetch_failed(failure_code: str) -> Counter:
    """The counter of attempts that failed so."""
    return FETCH_FAILURES.labels(failure_code)


def observe_end(state: str, failure_code: str = "", *, pending_since: int, now: int) -> None:
    """Count a request that ended. Times are milliseconds since the epoch; `pending_since` may be 0 for unknown."""
    _ended(state, failure_code).inc()
    if pending_since:
        # Clocks of two machines may disagree by more than a short wait.
        _request(state).observe(max(0, now - pending_since) / 1000)


@cache
def _ended(state: str, failure_code: str) -> Counter:
    return ENDED.labels(state, failure_code)


@cache
def _request(state: str) -> Histogram:
    return REQUEST_SECONDS.labels(state)


@cache
def process_seconds(outcome: str) -> Histogram:
    """The histogram of messages that were let out of hand so."""
    return PROCESS_SECONDS.labels(outcome)
