"""Search for all images of a customer."""

import asyncio

from imageservice.v1 import image_service_pb2 as pb
from imageservice.v1 import image_service_pb2_grpc

TIMEOUT_S = 120
_POLL_S = 0.5


async def search_all(
    stub: "image_service_pb2_grpc.ImageServiceAsyncStub", customer: str, page_size: int
) -> list[pb.Image]:
    """Return all images of a customer, page by page."""
    query = pb.SearchImagesRequest(customer_id=customer, page_size=page_size)
    images: list[pb.Image] = []
    while True:
        page = await stub.SearchImages(query, timeout=30)
        images += page.images
        query.page_token = page.next_page_token
        if not query.page_token:
            return images


async def until_found(
    stub: "image_service_pb2_grpc.ImageServiceAsyncStub", customer: str, count: int
) -> None:
    """Wait until a search finds at least `count` images of a customer."""
    query = pb.SearchImagesRequest(customer_id=customer, page_size=1)
    async with asyncio.timeout(TIMEOUT_S):
        while (await stub.SearchImages(query, timeout=30)).total < count:  # noqa: ASYNC110  another process changes it
            await asyncio.sleep(_POLL_S)
