"""Metrics of several programs, in seconds and bytes. Labels have low cardinality: never a URL or an id."""

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Histogram,
    disable_created_metrics,
    start_http_server,
)

AWS_CALLS = Counter(
    "aws_calls_total",
    "Calls to AWS by operation and outcome: ok, cancelled, or the code or kind of the error. All attempts of a call "
    "count as one.",
    ["operation", "outcome"],
)
AWS_CALL_SECONDS = Histogram(
    "aws_call_seconds",
    "Time of a call to AWS, including all attempts.",
    ["operation"],
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25),
)
AWS_THROTTLES = Counter(
    "aws_throttles_total",
    "Attempts that AWS throttled; most succeed at the next attempt. Throttled items of a successful call are in "
    "group_commit_retried_items_total. Calls of operators through the SDK are not counted.",
    ["operation"],
)
GROUP_COMMIT_BATCH_SIZE = Histogram(
    "group_commit_batch_size",
    "Items in one batch call.",
    ["commit"],
    buckets=(1, 2, 3, 5, 8, 10, 15, 20, 25),
)
GROUP_COMMIT_RETRIES = Counter(
    "group_commit_retried_items_total",
    "Items that a successful batch call did not accept, because of throttling or a transient error, and that were sent "
    "again.",
    ["commit"],
)


# Cached, because a lookup of labels costs more than an increment.


@cache
def counter(metric: Counter, *labels: str) -> Counter:
    return metric.labels(*labels)


@cache
def histogram(metric: Histogram, *labels: str) -> Histogram:
    return metric.labels(*labels)


def initialise_aws_calls(*operations: str, batches: Iterable[str] = ()) -> None:
    """Initialise the series of a program's AWS operations and batches to 0. Errors have no known set of outcomes.

    Without this, `rate()` misses the first increment of a new series.
    """
    for operation in operations:
        for outcome in ("ok", "cancelled"):
            AWS_CALLS.labels(operation, outcome)
        AWS_CALL_SECONDS.labels(operation)
        AWS_THROTTLES.labels(operation)
    for commit in batches:
        GROUP_COMMIT_BATCH_SIZE.labels(commit)
        GROUP_COMMIT_RETRIES.labels(commit)


def serve_metrics(
    host: str, port: int, alive: Callable[[], bool], registry: CollectorRegistry = REGISTRY
) -> None:
    """Serve /metrics, and /livez for a liveness probe, from a thread, so neither waits for the event loop.

    /livez is 200 while `alive`, else 503. It does not depend on AWS, because a restart does not end an outage.
    """
    # Creation times would be a third of the page, and nothing uses them.
    disable_created_metrics()  # type: ignore[no-untyped-call]
    server, _ = start_http_server(port, addr=host, registry=registry)
    server.set_app(_with_liveness(server.get_app(), alive))


def _with_liveness(metrics: Any, alive: Callable[[], bool]) -> WSGIApplication:
    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        match environ["PATH_INFO"]:
            case "/metrics":
                answer: Iterable[bytes] = metrics(environ, start_response)
                return answer
            case "/livez" if alive():
                status, body = "200 OK", b"alive\n"
            case "/livez":
                status, body = "503 Service Unavailable", b"the event loop is stuck\n"
            case _:
                # The client library serves its page at any path, so a misspelt probe would pass.
                status, body = "404 Not Found", b"/metrics and /livez are here\n"
        start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
        return [body]

    return app
