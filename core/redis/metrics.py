"""Metrics of Redis. Without REDIS_URL only counters without labels exist, at 0."""

from prometheus_client import Counter, Gauge, Histogram

REDIS_CALLS = Counter(
    "redis_calls_total",
    "Calls to Redis by operation (read, write, rate, share, ping) and outcome: ok, cancelled, or the kind of the "
    "error. A call may have many items. Calls that the circuit breaker stops are not counted.",
    ["operation", "outcome"],
)
REDIS_CALL_SECONDS = Histogram(
    "redis_call_seconds",
    "Time of a call to Redis, including a connect if needed.",
    ["operation"],
    buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25),
)
REDIS_DROPPED = Counter(
    "redis_dropped_total",
    "Cached requests and events that were not written to Redis, because it was down or slow, or too many were pending. "
    "Nothing is lost: servers read the tables.",
)
REDIS_MALFORMED = Counter(
    "redis_malformed_total", "Malformed documents and events in Redis, which were ignored."
)
REDIS_UP = Gauge(
    "redis_up",
    "0 while Redis does not answer, or if it rejected a command in the last 30 seconds, else 1; by use: calls, or news "
    "(the subscription to events). With --workers, 1 if it is 1 in all workers. No series without REDIS_URL.",
    ["use"],
    # A sum would hide one worker without a connection behind the others.
    multiprocess_mode="livemin",
)


def initialise() -> None:
    """Initialise the series of calls to 0. Without this, `rate()` misses the first increment. Errors are not known."""
    for operation in ("read", "write", "rate", "share", "ping"):
        for outcome in ("ok", "cancelled"):
            REDIS_CALLS.labels(operation, outcome)
        REDIS_CALL_SECONDS.labels(operation)
