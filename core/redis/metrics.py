"""Metrics of Redis. Without REDIS_URL only counters without labels exist, at 0."""

from prometheus_client import Counter, Gauge, Histogram

REDIS_CALLS = Counter(
    "redis_calls_total",
    "Calls to Redis by operation (read, write, ping) and outcome: ok, cancelled, or the kind of the error. Many items "
    "share one. What the breaker spares is no call.",
    ["operation", "outcome"],
)
REDIS_CALL_SECONDS = Histogram(
    "redis_call_seconds",
    "Time of a call to Redis, a connection made for it included.",
    ["operation"],
    buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25),
)
REDIS_DROPPED = Counter(
    "redis_dropped_total",
    "Documents and news that did not go to Redis, because it was down or slow or too many waited. Nobody misses them: "
    "servers read the tables.",
)
REDIS_MALFORMED = Counter(
    "redis_malformed_total", "Documents and news in Redis that are none of ours, and were ignored."
)
REDIS_UP = Gauge(
    "redis_up",
    "0 while Redis does not answer, or has refused a call in the last 30 seconds, else 1, by use: calls, or news (the "
    "subscription). With --workers, 1 while it answers each of them. No series without REDIS_URL.",
    ["use"],
    # A sum would hide one worker that cannot reach it behind those that can.
    multiprocess_mode="livemin",
)
