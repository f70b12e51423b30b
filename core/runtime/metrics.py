"""Metrics that several processes have. Seconds and bytes; labels of low cardinality, never a URL or an id."""

from collections.abc import Callable, Iterable
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
    "Calls to AWS by operation and outcome: ok, cancelled, or the code or kind of the error. Tries within a call are "
    "one.",
    ["operation", "outcome"],
)
AWS_CALL_SECONDS = Histogram(
    "aws_call_seconds",
    "Time of a call to AWS, its tries included.",
    ["operation"],
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25),
)
AWS_THROTTLES = Counter(
    "aws_throttles_total",
    "Tries that AWS refused because there were too many; most succeed at the next. Throttled items of a call that "
    "succeeds are among group_commit_retried_items_total. Operators' calls by the SDK are not counted.",
    ["operation"],
)
GROUP_COMMIT_BATCH_SIZE = Histogram(
    "group_commit_batch_size",
    "Items that shared one call.",
    ["commit"],
    buckets=(1, 2, 3, 5, 8, 10, 15, 20, 25),
)
GROUP_COMMIT_RETRIES = Counter(
    "group_commit_retried_items_total",
    "Items that a successful call did not take, throttled or by a passing fault, and that went into a later one.",
    ["commit"],
)


def serve_metrics(
    host: str, port: int, alive: Callable[[], bool], registry: CollectorRegistry = REGISTRY
) -> None:
    """Serve /metrics, and /livez for a liveness probe, from a thread of its own: neither waits for the event loop.

    /livez is 200 while `alive`, else 503. It knows nothing of AWS: to start a process again heals no outage.
    """
    # When a counter was made is a third of what a page would hold, and nobody asks for it.
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
                # The client answers any path with its page, so that no probe could be misspelt.
                status, body = "404 Not Found", b"/metrics and /livez are here\n"
        start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
        return [body]

    return app
