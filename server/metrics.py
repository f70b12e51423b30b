"""The server's metrics. What go-grpc-middleware has bears its names and labels, so that dashboards fit."""

from google.protobuf.descriptor import MethodDescriptor
from grpc import StatusCode
from prometheus_client import Counter, Gauge, Histogram

_CALL = ["grpc_type", "grpc_service", "grpc_method"]

STARTED = Counter("grpc_server_started_total", "Calls begun.", _CALL)
HANDLED = Counter(
    "grpc_server_handled_total", "Calls ended, by status code.", [*_CALL, "grpc_code"]
)
HANDLING_SECONDS = Histogram(
    "grpc_server_handling_seconds",
    "Time from a call's begin to its end; a watch lasts as long as it has something to wait for.",
    _CALL,
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600, 3600),
)
ITEMS = Counter(
    "grpc_server_items_total",
    "Items of streams that carry many, by the status code of each.",
    ["grpc_method", "grpc_code"],
)
STATUS_READS = Counter(
    "status_reads_total",
    "States of requests that calls and watches asked for: out of this process's memory, of redis, or of the"
    " tables.",
    ["source"],
)
PENDING_SUBMITS = Gauge(
    "pending_submits",
    "Submits under way, those whose caller has gone included; MAX_PENDING_SUBMITS bounds them.",
    # The sum over the workers of `--workers`; it means nothing where there are none.
    multiprocess_mode="livesum",
)
WATCHED_REQUESTS = Gauge(
    "watched_requests",
    "Distinct request ids that streams watch.",
    multiprocess_mode="livesum",
)
PAUSED_STREAMS = Gauge(
    "paused_submit_streams",
    "Streams of submits that are not read at present: their limit, or the server's, is under way.",
    multiprocess_mode="livesum",
)


class MethodMetrics:
    """One method's metrics with their labels bound: looking labels up costs more than counting."""

    def __init__(self, method: MethodDescriptor) -> None:
        call = (_type(method), method.containing_service.full_name, method.name)
        self._started = STARTED.labels(*call)
        self._handled = {code: HANDLED.labels(*call, code.name) for code in StatusCode}
        self._seconds = HANDLING_SECONDS.labels(*call)

    def started(self) -> None:
        self._started.inc()

    def ended(self, code: StatusCode, seconds: float) -> None:
        self._handled[code].inc()
        self._seconds.observe(seconds)


def _type(method: MethodDescriptor) -> str:
    match method.client_streaming, method.server_streaming:
        case False, False:
            return "unary"
        case False, True:
            return "server_stream"
        case True, False:
            return "client_stream"
    return "bidi_stream"


class ItemMetrics:
    """The metrics of one streaming method's items."""

    def __init__(self, method: str) -> None:
        self._ended = {code: ITEMS.labels(method, code.name) for code in StatusCode}

    def ended(self, code: StatusCode, count: int = 1) -> None:
        self._ended[code].inc(count)
