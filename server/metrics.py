"""Metrics of the server. Names and labels of RPC metrics are those of go-grpc-middleware, so its dashboards work."""

from google.protobuf.descriptor import MethodDescriptor
from grpc import StatusCode
from prometheus_client import Counter, Gauge, Histogram

_OK = StatusCode.OK
_CALL = ["grpc_type", "grpc_service", "grpc_method"]

STARTED = Counter("grpc_server_started_total", "Calls started.", _CALL)
HANDLED = Counter(
    "grpc_server_handled_total",
    "Calls ended, by status code. A unary call that its client ends is DEADLINE_EXCEEDED if its time was up, else "
    "CANCELLED.",
    [*_CALL, "grpc_code"],
)
HANDLING_SECONDS = Histogram(
    "grpc_server_handling_seconds",
    "Duration of a call. A watch lasts until all its requests are terminal.",
    _CALL,
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600, 3600),
)
ITEMS = Counter(
    "grpc_server_items_total",
    "Items of SubmitImages streams, by the status code of each.",
    ["grpc_method", "grpc_code"],
)
STATUS_READS = Counter(
    "status_reads_total",
    "Reads of a request's status by calls and watches, by source: memory of this process, redis, or tables.",
    ["source"],
)
LANE_MESSAGES = Counter(
    "lane_messages_total",
    "Messages of submits and of CreateRenditions by lane and reason: within_rate or beyond_rate (of the customer; "
    "without BULK_QUEUE_URL all are within), or asked (the caller asked for bulk).",
    ["lane", "reason"],
)
REFUSED_PLACES = Counter(
    "refused_places_total",
    "Calls that got RESOURCE_EXHAUSTED, by kind (submits, lists, searches, watched requests) and reason: share (the "
    "customer has its share while others want the rest) or full (the reserve for other customers is also used).",
    ["kind", "reason"],
)
PENDING_SUBMITS = Gauge(
    "pending_submits",
    "Submits in progress, including those of disconnected callers; MAX_PENDING_SUBMITS bounds them.",
    # The sum over the workers of `--workers`; without workers it has no effect.
    multiprocess_mode="livesum",
)
WATCHED_REQUESTS = Gauge(
    "watched_requests", "Distinct request ids watched by streams.", multiprocess_mode="livesum"
)
PAUSED_STREAMS = Gauge(
    "paused_submit_streams",
    "SubmitImages streams that are not read at present, because their limit or the server's is reached.",
    multiprocess_mode="livesum",
)


class MethodMetrics:
    """The metrics of one RPC. Labels are bound once, because looking them up costs more than counting."""

    def __init__(self, method: MethodDescriptor) -> None:
        call = (_type(method), method.containing_service.full_name, method.name)
        self.unary = call[0] == "unary"
        self._started = STARTED.labels(*call)
        self._handled = {code: HANDLED.labels(*call, code.name) for code in StatusCode}
        self._ok = self._handled[_OK]
        self._seconds = HANDLING_SECONDS.labels(*call)

    def started(self) -> None:
        self._started.inc()

    def ended(self, code: StatusCode, seconds: float) -> None:
        # Not by a look-up: the hash of an Enum member takes as long as the increment.
        (self._ok if code is _OK else self._handled[code]).inc()
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
    def __init__(self, method: str) -> None:
        self._ended = {code: ITEMS.labels(method, code.name) for code in StatusCode}
        self._ok = self._ended[_OK]

    def ended(self, code: StatusCode, count: int = 1) -> None:
        (self._ok if code is _OK else self._ended[code]).inc(count)
