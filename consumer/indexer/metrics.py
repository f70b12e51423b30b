"""Metrics of the indexer."""

from prometheus_client import Counter, Gauge, Histogram

from core.search.engine import WriteStatus

GONE = "gone"
MALFORMED = "malformed"

RECEIVED = Counter(
    "indexer_received_messages_total", "Events received, repeated ones and malformed ones included."
)
DOCUMENTS = Counter(
    "indexer_documents_total",
    "What became of images: indexed, repeats included; stale, which the index had at a higher revision; rejected by "
    "the engine, or not readable; unavailable, to be tried again; gone, which no table has; malformed, an event that "
    "is none.",
    ["outcome"],
)
LAG_SECONDS = Histogram(
    "indexer_lag_seconds",
    "Time from an image's record to its place in the index, of events that are received for the first time. One that "
    "reconcile told again counts from the record too.",
    buckets=(0.5, 1, 2.5, 5, 10, 30, 60, 300, 1_800, 7_200),
)
BATCH_SIZE = Histogram(
    "indexer_batch_size",
    "Images that shared one write to the engine.",
    buckets=(1, 2, 5, 10, 20, 50, 100, 150, 200),
)
WAITING = Gauge(
    "indexer_waiting",
    "1 while nothing is received, because the search engine or a table does not do its part, else 0: from a failure "
    "until a try went well.",
)
INCOMPLETE = Gauge(
    "search_index_incomplete",
    "1 while the index lacks images, because it was made empty when there were some already, as after a loss of the "
    "engine's data; 0 once reindex has made another. As it was last found.",
)


def prepare() -> None:
    """Tell of what has not happened yet as 0: a series that is born at 1 has no rate."""
    for outcome in (*WriteStatus, GONE, MALFORMED):
        DOCUMENTS.labels(outcome)
