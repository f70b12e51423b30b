"""The lists that are walked, and one walk through one of them."""

import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from google.protobuf.timestamp_pb2 import Timestamp

from imageservice.v1 import image_service_pb2 as pb
from imageservice.v1 import image_service_pb2_grpc as pb_grpc
from loadtest.walk.calling import CALL_SECONDS, again

LARGEST_PAGE, USUAL_PAGE, SMALL_PAGE = 1_000, 50, 7
SPANS = 3

ALL, COMPLETED, FAILED, IMAGES, SPAN = (
    "all requests",
    "COMPLETED requests",
    "FAILED requests",
    "images",
    "a span of time",
)

LISTS = (
    *((ALL, size) for size in (LARGEST_PAGE, USUAL_PAGE, SMALL_PAGE)),
    *((kind, LARGEST_PAGE) for kind in (SPAN, COMPLETED, FAILED, IMAGES)),
)
"""What is walked, with the sizes of its pages."""

Message = pb.ListRequestsRequest | pb.ListImagesRequest


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

    def message(self) -> Message:
        """Of the first page."""
        if self.kind == IMAGES:
            return pb.ListImagesRequest(customer_id=self.customer, page_size=self.page_size)
        return pb.ListRequestsRequest(
            customer_id=self.customer,
            page_size=self.page_size,
            state=self.state,
            created_after=_time(self.after),
            created_before=_time(self.before),
        )


class Entry(NamedTuple):
    """What a list says of one request. Times are milliseconds since the epoch."""

    request_id: str
    customer: str
    state: "pb.State.ValueType"
    created: int
    updated: int


@dataclass(slots=True)
class Walked:
    question: Question
    entries: list[Entry] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    """Of each call that was answered."""
    first_token: str = ""

    @property
    def calls(self) -> int:
        return len(self.seconds)


async def walk(
    stub: "pb_grpc.ImageServiceAsyncStub", question: Question, patience: float
) -> Walked:
    """From the first page to the end. Raises AioRpcError where a page is refused for longer than `patience`."""
    walked = Walked(question)
    async for token, entries in _pages(stub, question, patience, walked.seconds):
        walked.entries += entries
        walked.first_token = walked.first_token or token
    return walked


async def _pages(
    stub: "pb_grpc.ImageServiceAsyncStub",
    question: Question,
    patience: float,
    seconds: list[float],
) -> AsyncIterator[tuple[str, Sequence[Entry]]]:
    asked = question.message()
    while True:

        async def call(asked: Message = asked) -> tuple[str, Sequence[Entry]]:
            began = time.monotonic()
            page = await ask(stub, asked)
            seconds.append(time.monotonic() - began)
            return page

        token, entries = await again(patience, call)
        yield token, entries
        if not token:
            return
        asked.page_token = token


async def ask(stub: "pb_grpc.ImageServiceAsyncStub", asked: Message) -> tuple[str, Sequence[Entry]]:
    """One page: the token of the next, and what it lists. Raises AioRpcError."""
    if isinstance(asked, pb.ListImagesRequest):
        images = await stub.ListImages(asked, timeout=CALL_SECONDS)
        return images.next_page_token, [entry_of_image(image) for image in images.images]
    requests = await stub.ListRequests(asked, timeout=CALL_SECONDS)
    return requests.next_page_token, [entry_of(request) for request in requests.requests]


def entry_of(request: pb.ImageRequest) -> Entry:
    return Entry(
        request.request_id,
        request.customer_id,
        request.state,
        request.create_time.ToMilliseconds(),
        request.update_time.ToMilliseconds(),
    )


def entry_of_image(image: pb.Image) -> Entry:
    """Its times are the image's own, by which the list is not ordered."""
    recorded = image.create_time.ToMilliseconds()
    return Entry(image.request_id, image.customer_id, pb.STATE_COMPLETED, recorded, recorded)


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
