"""The lists that are walked. A search is one of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from google.protobuf.timestamp_pb2 import Timestamp

from imageservice.v1 import image_service_pb2 as pb
from loadtest.walk.choice import Choice

LARGEST_PAGE, USUAL_PAGE, SMALL_PAGE = 1_000, 50, 7
LARGEST_SEARCH_PAGE = 100
SPANS = 3
EVERY = 10
"""One of so many customers is walked by small pages as well."""
FORMATS = ("JPEG", "PNG", "WEBP", "GIF")
"""Each customer's images are searched for by one of these as well."""

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

CHOICES = {
    ALL: Choice.REQUESTS,
    PENDING: Choice.PENDING,
    COMPLETED: Choice.COMPLETED,
    FAILED: Choice.FAILED,
    IMAGES: Choice.IMAGES,
    SPAN: Choice.SPANS,
    SEARCH: Choice.SEARCH,
    SEARCH_FORMAT: Choice.SEARCH,
}
"""By what each kind of list is chosen."""

LISTS = (
    *((ALL, size) for size in (LARGEST_PAGE, USUAL_PAGE, SMALL_PAGE)),
    *((kind, LARGEST_PAGE) for kind in (SPAN, PENDING, COMPLETED, FAILED, IMAGES)),
    *((SEARCH, size) for size in (LARGEST_SEARCH_PAGE, SMALL_PAGE)),
    (SEARCH_FORMAT, LARGEST_SEARCH_PAGE),
)
"""What is walked, with the sizes of its pages."""

Message = pb.ListRequestsRequest | pb.ListImagesRequest | pb.SearchImagesRequest


@dataclass(frozen=True, slots=True)
class Question:
    """A list, and the size of its pages."""

    kind: str
    customer: str
    page_size: int
    state: "pb.State.ValueType" = pb.STATE_UNSPECIFIED
    after: int | None = None
    """Milliseconds since the epoch, as `before`."""
    before: int | None = None
    format: str = ""
    """The only one that is searched for."""

    def message(self) -> Message:
        """Of the first page."""
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
            created_after=_time(self.after),
            created_before=_time(self.before),
        )


def questions(
    at: int, customer: str, times: Sequence[int], chosen: frozenset[Choice]
) -> Iterator[Question]:
    """What is walked of the customer numbered `at`, whose known requests were created at these `times`.

    PENDING ones come first, while what is known of them is fresh; searches last, since their index is behind.
    """
    return (each for each in _all_questions(at, customer, times) if CHOICES[each.kind] in chosen)


def _all_questions(at: int, customer: str, times: Sequence[int]) -> Iterator[Question]:
    small = at % EVERY == 0
    yield Question(PENDING, customer, LARGEST_PAGE, pb.STATE_PENDING)
    yield Question(ALL, customer, LARGEST_PAGE)
    if small:
        yield Question(ALL, customer, USUAL_PAGE)
        yield Question(ALL, customer, SMALL_PAGE)
    yield from spans(customer, times)
    yield Question(COMPLETED, customer, LARGEST_PAGE, pb.STATE_COMPLETED)
    yield Question(FAILED, customer, LARGEST_PAGE, pb.STATE_FAILED)
    yield Question(IMAGES, customer, LARGEST_PAGE)
    yield Question(SEARCH, customer, LARGEST_SEARCH_PAGE)
    if small:
        yield Question(SEARCH, customer, SMALL_PAGE)
    wanted = FORMATS[at % len(FORMATS)]
    yield Question(SEARCH_FORMAT, customer, LARGEST_SEARCH_PAGE, format=wanted)


def spans(customer: str, times: Sequence[int]) -> list[Question]:
    """Neighbouring spans that together are all of time, with as many of `times` in each."""
    ordered = sorted(times)
    cuts = [ordered[len(ordered) * at // SPANS] for at in range(1, SPANS)] if ordered else []
    return [
        Question(SPAN, customer, LARGEST_PAGE, after=after, before=before)
        for after, before in zip([None, *cuts], [*cuts, None], strict=True)
        if after is None or after != before
    ]


def _time(milliseconds: int | None) -> Timestamp | None:
    if milliseconds is None:
        return None
    time = Timestamp()
    time.FromMilliseconds(milliseconds)
    return time
