"""Inserts requests as a server does, and reads all pages of their lists."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterable
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from core.dynamodb.statements import Statements
from core.dynamodb.tables import Tables
from core.model.request import new_request
from imageservice.v1 import image_service_pb2 as pb
from imageservice.v1 import image_service_pb2_grpc


def at(milliseconds: int) -> Timestamp:
    """Return a Timestamp."""
    time = Timestamp()
    time.FromMilliseconds(milliseconds)
    return time


async def insert(
    tables: Tables, customer: str, times: Iterable[int], statements: Statements | None = None
) -> list[str]:
    """Insert PENDING requests created at `times`, in milliseconds since the epoch. Return their ids in that order."""
    requests = [
        new_request(
            request_id=str(uuid.uuid4()),
            customer_id=customer,
            url="https://a.example/1",
            labels={},
            now=time,
        )
        for time in times
    ]
    make = (statements or tables.statements).insert_request
    await asyncio.gather(*(tables.write(make(request)) for request in requests))
    return [request.request_id for request in requests]


async def request_pages(
    stub: "image_service_pb2_grpc.ImageServiceAsyncStub", **fields: Any
) -> AsyncIterator[pb.ListRequestsResponse]:
    """Yield all pages of a list. `fields` are those of the first call."""
    call = pb.ListRequestsRequest(**fields)
    while True:
        page = await stub.ListRequests(call, timeout=30)
        yield page
        call.page_token = page.next_page_token
        if not call.page_token:
            return


async def list_request_ids(
    stub: "image_service_pb2_grpc.ImageServiceAsyncStub", **fields: Any
) -> list[str]:
    """Return the ids of all requests of a list."""
    return [
        request.request_id
        async for page in request_pages(stub, **fields)
        for request in page.requests
    ]


async def list_images(
    stub: "image_service_pb2_grpc.ImageServiceAsyncStub", **fields: Any
) -> list[pb.Image]:
    """Return all images of a list."""
    call, images = pb.ListImagesRequest(**fields), list[pb.Image]()
    while True:
        page = await stub.ListImages(call, timeout=30)
        images += page.images
        call.page_token = page.next_page_token
        if not call.page_token:
            return images
