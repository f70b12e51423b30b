"""Metrics of the consumer, named after OpenTelemetry's meanings for messaging."""

import time
from functools import cache

from prometheus_client import Counter, Gauge, Histogram

RECEIVED = Counter(
    "consumer_received_messages_total", "Messages received, by what they are.", ["kind"]
)
IN_FLIGHT = Gauge("consumer_in_flight_messages", "Messages held: worked on or waiting to be.")
ENDED = Counter(
    "consumer_ended_requests_total",
    "Requests that this process ended, by state and failure code.",
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
BYTES_IN = Counter("consumer_fetched_bytes_total", "Bytes of bodies fetched from origins.")
BYTES_OUT = Counter("consumer_stored_bytes_total", "Bytes of objects stored.")
OUTAGE = Gauge("consumer_outage", "1 while an AWS service that we need is down, else 0.")
HEARTBEAT_FAILURES = Counter(
    "consumer_heartbeat_failures_total", "Calls that could not extend what is held."
)


@cache
def _step(name: str) -> Histogram:
    # Looking a label up costs more than counting.
    return STEP_SECONDS.labels(name)


def observe_step(name: str, started: float) -> None:
    """Record a step that began at `started`, in seconds of `time.perf_counter`."""
    _step(name).observe(time.perf_counter() - started)


@cache
def received(kind: str) -> Counter:
    """The counter of messages of one kind."""
    return RECEIVED.labels(kind)


@cache
def ended(state: str, failure_code: str = "") -> Counter:
    """The counter of requests that ended so."""
    return ENDED.labels(state, failure_code)
