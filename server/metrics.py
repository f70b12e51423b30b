"""The server's metrics. Names follow the gRPC ecosystem's (go-grpc-middleware), so that dashboards fit."""

from grpc import StatusCode
from prometheus_client import Counter, Gauge, Histogram

STARTED = Counter("grpc_server_started_total", "Calls begun.", ["grpc_method"])
HANDLED = Counter(
    "grpc_server_handled_total", "Calls ended, by status code.", ["grpc_method", "grpc_code"]
)
HANDLING_SECONDS = Histogram(
    "grpc_server_handling_seconds",
    "Time from a call's begin to its end; a watch lasts as long as it has something to wait for.",
    ["grpc_method"],
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600, 3600),
)
ITEMS = Counter(
    "grpc_server_items_total",
    "Items of streams that carry many, by the status code of each.",
    ["grpc_method", "grpc_code"],
)
WATCHED_REQUESTS = Gauge(
    "watched_requests",
    "Distinct request ids that streams watch.",
    # The sum over the workers of `--workers`; it means nothing where there are none.
    multiprocess_mode="livesum",
)

PAUSED_STREAMS = Gauge(
    "paused_submit_streams",
    "Streams of submits that are not read at present: their limit, or the server's, is under way.",
    multiprocess_mode="livesum",
)


class MethodMetrics:
    """One method's metrics with their labels bound: looking labels up costs more than counting."""

    def __init__(self, method: str) -> None:
        self._started = STARTED.labels(method)
        self._handled = {code: HANDLED.labels(method, code.name) for code in StatusCode}
        self._seconds = HANDLING_SECONDS.labels(method)

    def started(self) -> None:
        self._started.inc()

    def ended(self, code: StatusCode, seconds: float) -> None:
        self._handled[code].inc()
        self._seconds.observe(seconds)


class ItemMetrics:
    """The metrics of one streaming method's items."""

    def __init__(self, method: str) -> None:
        self._ended = {code: ITEMS.labels(method, code.name) for code in StatusCode}

    def ended(self, code: StatusCode, count: int = 1) -> None:
        self._ended[code].inc(count)
