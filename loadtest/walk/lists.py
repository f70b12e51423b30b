"""The kinds of lists that are read. A search is one of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from google.protobuf.timestamp_pb2 import Timestamp

from imageservice.v1 import image_service_pb2 as pb


class Selection(StrEnum):
    """The values of `--only`."""

    REQUESTS = "requests"
    SPANS = "spans"
    PENDING = "pending"
    COMPLETED = "completed"
    FAILED = "failed"
    IMAGES = "images"
    SEARCH = "search"


EVERYTHING = frozenset(Selection)

MAX_PAGE, DEFAULT_PAGE, SMALL_PAGE = 1_000, 50, 7
MAX_SEARCH_PAGE = 100
SPANS = 3
SMALL_PAGES_EVERY = 10
"""One in this many customers is also read with small pages."""
FORMATS = ("JPEG", "PNG", "WEBP", "GIF")
"""Each customer has a search for one of these formats."""

ALL, PENDING, COMPLETED, FAILED, IMAGES, SPAN, SEARCH, SEARCH_FORMAT = (
    "all requests",
    "PENDING requests",
    "COMPLETED requests",
    "FAILED requests",
    "images",
    "a span of time",
    "search",
    "search for a format",
)

SEARCHES = (SEARCH, SEARCH_FORMAT)

SELECTION_OF = {
    ALL: Selection.REQUESTS,
    PENDING: Selection.PENDING,
    COMPLETED: Selection.COMPLETED,
    FAILED: Selection.FAILED,
    IMAGES: Selection.IMAGES,
    SPAN: Selection.SPANS,
    SEARCH: Selection.SEARCH,
    SEARCH_FORMAT: Selection.SEARCH,
}

LISTS = (
    *((ALL, size) for size in (MAX_PAGE, DEFAULT_PAGE, SMALL_PAGE)),
    *((kind, MAX_PAGE) for kind in (SPAN, PENDING, COMPLETED, FAILED, IMAGES)),
    *((SEARCH, size) for size in (MAX_SEARCH_PAGE, SMALL_PAGE)),
    (SEARCH_FORMAT, MAX_SEARCH_PAGE),
)
"""The kinds of lists with their page sizes."""

ListRequest = pb.ListRequestsRequest | pb.ListImagesRequest | pb.SearchImagesRequest


@dataclass(frozen=True, slots=True)
class ListQuery:
    """A list of one customer, and its page size."""

    kind: str
    customer: str
    page_size: int
    state: "pb.State.ValueType" = pb.STATE_UNSPECIFIED
    after: int | None = None
    """Milliseconds since the epoch, as `before`."""
    before: int | None = None
    format: str = ""
    """The format to search for; empty for all."""

    def first_page(self) -> ListRequest:
        if self.kind == IMAGES:
            return pb.ListImagesRequest(customer_id=self.customer, page_size=self.page_size)
        if self.kind in SEARCHES:
            formats = [self.format] if self.format else []
            return pb.SearchImagesRequest(
                customer_id=self.customer, page_size=self.page_size, formats=formats
            )
        return pb.ListRequestsRequest(
            customer_id=self.customer,
            page_size=self.page_size,
            state=self.state,
            created_after=_timestamp(self.after),
            created_before=_timestamp(self.before),
        )


def list_queries(
    at: int, customer: str, times: Sequence[int], selected: frozenset[Selection]
) -> Iterator[ListQuery]:
    """Yield the lists of customer number `at`, whose known requests were created at `times`.

    PENDING requests come first, while the snapshot is fresh. Searches come last, because their index lags behind.
    """
    return (each for each in _all_lists(at, customer, times) if SELECTION_OF[each.kind] in selected)


def _all_lists(at: int, customer: str, times: Sequence[int]) -> Iterator[ListQuery]:
    small = at % SMALL_PAGES_EVERY == 0
    yield ListQuery(PENDING, customer, MAX_PAGE, pb.STATE_PENDING)
    yield ListQuery(ALL, customer, MAX_PAGE)
    if small:
        yield ListQuery(ALL, customer, DEFAULT_PAGE)
        yield ListQuery(ALL, customer, SMALL_PAGE)
    yield from spans(customer, times)
    yield ListQuery(COMPLETED, customer, MAX_PAGE, pb.STATE_COMPLETED)
    yield ListQuery(FAILED, customer, MAX_PAGE, pb.STATE_FAILED)
    yield ListQuery(IMAGES, customer, MAX_PAGE)
    yield ListQuery(SEARCH, customer, MAX_SEARCH_PAGE)
    if small:
        yield ListQuery(SEARCH, customer, SMALL_PAGE)
    yield ListQuery(SEARCH_FORMAT, customer, MAX_SEARCH_PAGE, format=FORMATS[at % len(FORMATS)])


def spans(customer: str, times: Sequence[int]) -> list[ListQuery]:
    """Divide all of time into adjacent spans that contain equally many of `times`."""
    ordered = sorted(times)
    cuts = [ordered[len(ordered) * at // SPANS] for at in range(1, SPANS)] if ordered else []
    return [
        ListQuery(SPAN, customer, MAX_PAGE, after=after, before=before)
        for after, before in zip([None, *cuts], [*cuts, None], strict=True)
        if after is None or after != before
    ]


def _timestamp(milliseconds: int | None) -> Timestamp | None:
    if milliseconds is None:
        return None
    timestamp = Timestamp()
    timestamp.FromMilliseconds(milliseconds)
    return timestamp
