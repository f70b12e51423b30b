"""Metrics of the indexer."""

from prometheus_client import Counter, Gauge, Histogram

from core.runtime.metrics import initialise_aws_calls
from core.search.engine import WriteStatus

GONE = "gone"
MALFORMED = "malformed"

RECEIVED = Counter(
    "indexer_received_messages_total", "Events received, including repeated and malformed ones."
)
DOCUMENTS = Counter(
    "indexer_documents_total",
    "Outcomes of events. indexed: written, or written again; stale: the index has a higher revision; rejected: by the "
    "engine, or a malformed row; unavailable: to be retried; gone: no image in the tables; malformed: not an event.",
    ["outcome"],
)
LAG_SECONDS = Histogram(
    "indexer_lag_seconds",
    "Time from the insert of an image's record until it is in the index, for events that are received for the first "
    "time. A notification that reconcile repeats also counts from the insert.",
    buckets=(0.5, 1, 2.5, 5, 10, 30, 60, 300, 1_800, 7_200),
)
BATCH_SIZE = Histogram(
    "indexer_batch_size",
    "Images per write to the engine.",
    buckets=(1, 2, 5, 10, 20, 50, 100, 150, 200),
)
WAITING = Gauge(
    "indexer_waiting",
    "1 while the indexer receives nothing because the search engine or a table is down, else 0: from a failure until "
    "a check succeeds.",
)
INCOMPLETE = Gauge(
    "search_index_incomplete",
    "1 while the index lacks images, because it was created empty when images existed, for example after the engine "
    "lost its data; 0 after a reindex. The value of the last check.",
)


def initialise() -> None:
    """Initialise all label values to 0. Without this, `rate()` misses the first increment of a new series."""
    for outcome in (*WriteStatus, GONE, MALFORMED):
        DOCUMENTS.labels(outcome)
    initialise_aws_calls(
        "dynamodb:BatchGetItem",
        "dynamodb:Scan",
        "sqs:ChangeMessageVisibilityBatch",
        "sqs:DeleteMessageBatch",
        "sqs:ReceiveMessage",
        batches=("sqs deletes",),
    )
