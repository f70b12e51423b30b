"""Metrics of the worker. Their meaning follows OpenTelemetry's conventions for messaging if there is one.

Source: "Semantic conventions for messaging client metrics": `messaging.client.consumed.messages`,
`messaging.process.duration`.
"""

from zlib import crc32

from prometheus_client import Counter, Gauge, Histogram

from core.errors import FailureCode, TransientFailure
from core.model.message import Lane
from core.model.request import State
from core.runtime.metrics import counter, histogram, initialise_aws_calls

RECEIVED = Counter(
    "consumer_received_messages_total",
    "Messages received: first for a request, again after a requeue, suspect (possible poison message), or malformed.",
    ["kind", "lane"],
)
IN_FLIGHT = Gauge(
    "consumer_in_flight_messages", "Messages held: in progress, or waiting for a slot."
)
CONCURRENCY = Gauge(
    "consumer_concurrency",
    "CONCURRENCY: most messages that run at the same time, without the reserve for customers below their share. In an "
    "outage one message at a time is tried.",
)
BUSY_SLOTS = Gauge(
    "consumer_busy_slots",
    "Messages of a lane that run. Both lanes together have at most consumer_concurrency, and an eighth more for "
    "customers below their share.",
    ["lane"],
)
OLDEST_MESSAGE_AGE_SECONDS = Gauge(
    "consumer_oldest_message_age_seconds",
    "Age of the oldest message of a lane that is held, since it was last sent (SentTimestamp); 0 when none is held.",
    ["lane"],
)
OLDEST_PENDING_AGE_SECONDS = Gauge(
    "consumer_oldest_pending_age_seconds",
    "Longest time since acceptance, or since a retry by an operator, of a lane's requests whose messages were held in "
    "the last minute; 0 if there was none. A requeue does not reset it.",
    ["lane"],
)
PROCESS_SECONDS = Histogram(
    "consumer_process_duration_seconds",
    "Time that a message was held, from its receive until it was acknowledged, requeued or abandoned.",
    ["outcome"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300),
)
REQUEST_SECONDS = Histogram(
    "consumer_request_seconds",
    "Time from a request's acceptance, or from its retry by an operator, to its end: the time that the customer waits. "
    "By the lane in which it ended.",
    ["state", "lane"],
    buckets=(0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1_800, 3_600, 21_600, 86_400),
)
ENDED = Counter(
    "consumer_ended_requests_total",
    "Requests that workers ended, by state and failure code. A worker also counts UNDELIVERABLE when it receives the "
    "message of a request that reconcile failed. Requests that reconcile fails from the DLQ have no such message.",
    ["state", "failure_code"],
)
ENDED_BY_BUCKET = Counter(
    "consumer_customer_bucket_ended_requests_total",
    "Requests that workers ended, by state and customer bucket: a hash of the customer id, 0 to 15. It shows whether "
    "one customer's requests fail or those of many, without a series for each customer.",
    ["customer_bucket", "state"],
)
REQUEUED = Counter(
    "consumer_given_back_messages_total",
    "Messages requeued, by reason and by the lane from which they came. share: their customer held its share of the "
    "slots while all slots were taken; an interactive message moved to bulk, a bulk message was delayed.",
    ["reason", "lane"],
)
QUEUE_AGE_SECONDS = Histogram(
    "consumer_queue_age_seconds",
    "Age of a message when it was received, since it was last sent.",
    ["lane"],
    buckets=(0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3_600, 21_600, 86_400),
)
STEP_SECONDS = Histogram(
    "consumer_step_seconds",
    "Time of one step of the pipeline.",
    ["step"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 90),
)
FETCH_FAILURES = Counter(
    "consumer_fetch_failures_total",
    "Fetch attempts that failed, including those that were followed by another.",
    ["failure_code"],
)
RESTRICTED_ORIGINS = Gauge(
    "consumer_restricted_origins",
    "Origins whose requests this process holds back, by condition. rate: hosts that have refused requests of a "
    "customer, whose rate was learned; hung_host: hosts that do not answer a customer, and get one probe at a time of "
    "it; hung_address: addresses from which requests timed out.",
    ["condition"],
)
FAULTY_CREDENTIALS_FILE = Gauge(
    "consumer_faulty_credentials_file",
    "1 while CREDENTIALS_FILE cannot be used since its last change, so that the version before is in use, else 0.",
)
BYTES_IN = Counter("consumer_fetched_bytes_total", "Bytes of bodies fetched from origins.")
BYTES_OUT = Counter("consumer_stored_bytes_total", "Bytes of objects stored.")
RENDITIONS = Counter(
    "consumer_renditions_total",
    "Renditions recorded: made, or the failure code of one that could not be made.",
    ["outcome"],
)
OUTAGE = Gauge("consumer_outage", "1 while an AWS service that the worker needs is down, else 0.")
HEARTBEAT_FAILURES = Counter(
    "consumer_heartbeat_failures_total",
    "Calls that could not extend the visibility timeout of held messages, and single messages that SQS refused.",
)
DECODERS_BUSY = Gauge("consumer_busy_decoders", "Decoder processes that examine an image.")
DECODER_ENDS = Counter(
    "consumer_decoder_ends_total",
    "Decoder processes that ended, by reason. died: by itself, or after an invalid answer. killed: by a SIGKILL that "
    "was not ours, as when memory is short. fork_server: with its fork server. not_forked: the system refused it. "
    "not_started: it ended before it got an image. "
    "cpu_limit, stalled: its image exceeded a limit. cheap_cpu_limit: its image moved to the lane of expensive ones. "
    "cancelled: its image was not needed any more. replaced: after many images.",
    ["reason"],
)
EXPENSIVE_IMAGES = Counter(
    "consumer_expensive_images_total",
    "Images that moved to the lane of expensive ones, by reason: size (of the body), charge (memory or "
    "pixels), cpu (time), or again (an earlier run ended its decoder).",
    ["reason"],
)


STEPS = ("reuse", "fetch", "inspect", "store", "record", "complete", "notify")
REQUEUE_REASONS = (
    *(
        "address_hung",
        "address_new",
        "decoders_busy",
        "dns_busy",
        "drain",
        "host_busy",
        "host_hung",
        "host_rate",
        "host_refused",
        "outage",
        "share",
    ),
    *(failure.code.lower() for failure in TransientFailure.__subclasses__()),
)
_AWS_OPERATIONS = (
    "dynamodb:BatchExecuteStatement",
    "dynamodb:BatchGetItem",
    "dynamodb:UpdateItem",
    "s3:GetObject",
    "s3:PutObject",
    "sns:PublishBatch",
    "sqs:ChangeMessageVisibilityBatch",
    "sqs:DeleteMessageBatch",
    "sqs:GetQueueAttributes",
    "sqs:ReceiveMessage",
    "sqs:SendMessageBatch",
)
_DECODER_ENDS = (
    *(
        "died",
        "killed",
        "fork_server",
        "not_forked",
        "not_started",
        "cpu_limit",
        "stalled",
        "cheap_cpu_limit",
        "cancelled",
    ),
    "replaced",
)
_BATCHES = ("sns publishes", "sqs deletes", "sqs failed requests", "sqs sends")
CUSTOMER_BUCKETS = tuple(str(number) for number in range(16))


def initialise() -> None:
    """Initialise all label combinations to 0. Without this, `rate()` misses the first increment of a new series."""
    for state in (State.COMPLETED, State.FAILED):
        for bucket in CUSTOMER_BUCKETS:
            ENDED_BY_BUCKET.labels(bucket, state)
    ENDED.labels(State.COMPLETED, "")
    for code in FailureCode:
        ENDED.labels(State.FAILED, code)
        FETCH_FAILURES.labels(code)
        RENDITIONS.labels(code)
    RENDITIONS.labels("made")
    for lane in Lane:
        _initialise_lane(lane)
    for step in STEPS:
        STEP_SECONDS.labels(step)
    initialise_aws_calls(*_AWS_OPERATIONS, batches=_BATCHES)
    for outcome in ("finished", "given_back", "let_go"):
        PROCESS_SECONDS.labels(outcome)
    for reason in _DECODER_ENDS:
        DECODER_ENDS.labels(reason)
    for reason in ("size", "charge", "cpu", "again"):
        EXPENSIVE_IMAGES.labels(reason)


def _initialise_lane(lane: Lane) -> None:
    QUEUE_AGE_SECONDS.labels(lane)
    for state in (State.COMPLETED, State.FAILED):
        REQUEST_SECONDS.labels(state, lane)
    for reason in REQUEUE_REASONS:
        REQUEUED.labels(reason, lane)
    for kind in ("first", "again", "suspect", "malformed"):
        RECEIVED.labels(kind, lane)


def customer_bucket(customer_id: str) -> str:
    """Return the customer's bucket, the same in all processes and releases. CRC-32, because it is cheap."""
    return CUSTOMER_BUCKETS[crc32(customer_id.encode()) % len(CUSTOMER_BUCKETS)]


def observe_end(
    state: str, failure_code: str = "", *, customer_id: str, lane: str, pending_since: int, now: int
) -> None:
    """Count a request that ended in a lane. Times are milliseconds since the epoch; `pending_since` is 0 if unknown."""
    counter(ENDED, state, failure_code).inc()
    counter(ENDED_BY_BUCKET, customer_bucket(customer_id), state).inc()
    if pending_since:
        # The clocks of two machines may differ by more than a short wait.
        histogram(REQUEST_SECONDS, state, lane).observe(max(0, now - pending_since) / 1000)
