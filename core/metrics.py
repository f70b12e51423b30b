"""Metrics that both processes have. Seconds and bytes; labels of low cardinality, never a URL or an id."""

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram, start_http_server

AWS_CALLS = Counter(
    "aws_calls_total", "Calls to AWS by operation and outcome.", ["operation", "outcome"]
)
AWS_CALL_SECONDS = Histogram(
    "aws_call_seconds",
    "Time of a call to AWS, the SDK's retries included.",
    ["operation"],
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25),
)
GROUP_COMMIT_BATCH_SIZE = Histogram(
    "group_commit_batch_size",
    "Items that shared one call.",
    ["commit"],
    buckets=(1, 2, 3, 5, 8, 10, 15, 20, 25),
)


def serve_metrics(host: str, port: int, registry: CollectorRegistry = REGISTRY) -> None:
    """Serve /metrics from a thread of its own, so that a scrape never waits for the event loop."""
    start_http_server(port, addr=host, registry=registry)
