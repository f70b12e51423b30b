"""What a customer finds in the end."""

import asyncio

from imageservice.v1 import image_service_pb2 as pb
from imageservice.v1 import image_service_pb2_grpc

PATIENCE_S = 120
_POLL_S = 0.5


async def found(
    stub: "image_service_pb2_grpc.ImageServiceAsyncStub", customer: str, page_size: int
) -> list[pb.Image]:
    """All images of a customer, by a search walked to its end."""
    asked = pb.SearchImagesRequest(customer_id=customer, page_size=page_size)
    images: list[pb.Image] = []
    while True:
        page = await stub.SearchImages(asked, timeout=30)
        images += page.images
        asked.page_token = page.next_page_token
        if not asked.page_token:
            return images


async def until_found(
    stub: "image_service_pb2_grpc.ImageServiceAsyncStub", customer: str, count: int
) -> None:
    """Wait until so many images of a customer can be found."""
    asked = pb.SearchImagesRequest(customer_id=customer, page_size=1)
    async with asyncio.timeout(PATIENCE_S):
        while (await stub.SearchImages(asked, timeout=30)).total < count:  # noqa: ASYNC110  another process changes it
            await asyncio.sleep(_POLL_S)
