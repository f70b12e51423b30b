"""One walk through one list, page by page."""

import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from imageservice.v1 import image_service_pb2 as pb
from imageservice.v1 import image_service_pb2_grpc as pb_grpc
from loadtest.walk.calling import CALL_SECONDS, again
from loadtest.walk.entry import Entry, entry_of, entry_of_image
from loadtest.walk.lists import Message, Question


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
    match asked:
        case pb.ListImagesRequest():
            images = await stub.ListImages(asked, timeout=CALL_SECONDS)
            return images.next_page_token, [entry_of_image(image) for image in images.images]
        case pb.SearchImagesRequest():
            found = await stub.SearchImages(asked, timeout=CALL_SECONDS)
            return found.next_page_token, [entry_of_image(image) for image in found.images]
        case _:
            listed = await stub.ListRequests(asked, timeout=CALL_SECONDS)
            return listed.next_page_token, [entry_of(request) for request in listed.requests]
