"""Metrics of calls to the search engine."""

from prometheus_client import Counter, Histogram

SEARCH_ENGINE_CALLS = Counter(
    "search_engine_calls_total",
    "Calls to the search engine by operation and outcome: ok, cancelled, unavailable, or refused, which means that the "
    "circuit breaker stopped the call.",
    ["operation", "outcome"],
)
SEARCH_ENGINE_CALL_SECONDS = Histogram(
    "search_engine_call_seconds",
    "Time of a call to the search engine.",
    ["operation"],
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25),
)


def initialise_calls(*operations: str) -> None:
    """Initialise the series of a client's operations to 0. Without this, `rate()` misses the first increment."""
    for operation in operations:
        for outcome in ("ok", "cancelled", "unavailable", "refused"):
            SEARCH_ENGINE_CALLS.labels(operation, outcome)
        SEARCH_ENGINE_CALL_SECONDS.labels(operation)
