"""Reads one list page by page."""

import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from imageservice.v1 import image_service_pb2 as pb
from imageservice.v1 import image_service_pb2_grpc as pb_grpc
from loadtest.walk.lists import ListQuery, ListRequest
from loadtest.walk.retry import CALL_TIMEOUT_S, with_retries
from loadtest.walk.snapshot import Entry, image_entry, request_entry


@dataclass(slots=True)
class Walk:
    """The entries of one list, in the order of its pages."""

    query: ListQuery
    entries: list[Entry] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    """Duration of each successful call."""
    first_token: str = ""

    @property
    def calls(self) -> int:
        return len(self.seconds)


async def read_list(
    stub: "pb_grpc.ImageServiceAsyncStub", query: ListQuery, progress_timeout: float
) -> Walk:
    """Read all pages. Raises AioRpcError if a page fails for longer than `progress_timeout` seconds."""
    walk = Walk(query)
    async for token, entries in _pages(stub, query, progress_timeout, walk.seconds):
        walk.entries += entries
        walk.first_token = walk.first_token or token
    return walk


async def _pages(
    stub: "pb_grpc.ImageServiceAsyncStub",
    query: ListQuery,
    progress_timeout: float,
    seconds: list[float],
) -> AsyncIterator[tuple[str, Sequence[Entry]]]:
    request = query.first_page()
    while True:

        async def call(request: ListRequest = request) -> tuple[str, Sequence[Entry]]:
            began = time.monotonic()
            page = await read_page(stub, request)
            seconds.append(time.monotonic() - began)
            return page

        token, entries = await with_retries(progress_timeout, call)
        yield token, entries
        if not token:
            return
        request.page_token = token


async def read_page(
    stub: "pb_grpc.ImageServiceAsyncStub", request: ListRequest
) -> tuple[str, Sequence[Entry]]:
    """Return the token of the next page, and the entries of this one. Raises AioRpcError."""
    match request:
        case pb.ListImagesRequest():
            images = await stub.ListImages(request, timeout=CALL_TIMEOUT_S)
            return images.next_page_token, [image_entry(image) for image in images.images]
        case pb.SearchImagesRequest():
            found = await stub.SearchImages(request, timeout=CALL_TIMEOUT_S)
            return found.next_page_token, [image_entry(image) for image in found.images]
        case _:
            listed = await stub.ListRequests(request, timeout=CALL_TIMEOUT_S)
            return listed.next_page_token, [request_entry(each) for each in listed.requests]
