"""A system with search: its origin, its stores and its index."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from harness.aws import RecordingAws
from harness.index import Index, index_of
from harness.metrics import MetricsPort
from harness.origin import Origin, origin
from harness.stores import Stores, stores_of
from harness.system import System, system


@asynccontextmanager
async def search_system(
    aws: RecordingAws, opensearch_url: str | None, **parameters: str
) -> AsyncIterator[tuple[System, Origin, Stores, Index]]:
    """Run a system with a server and a consumer. The test starts the indexer."""
    async with (
        origin() as images,
        system(aws, opensearch_url=opensearch_url, forked=True, **parameters) as running,
        stores_of(running) as stores,
        index_of(running) as index,
    ):
        await running.start_server()
        consumer = MetricsPort()
        await running.start_consumer(**consumer.settings)
        await consumer.until_served()
        yield running, images, stores, index


async def complete_images(running: System, images: Origin, count: int, first: int = 0) -> list[str]:
    """Submit `count` images and wait until all have ended. Return the request ids."""
    ids = [await running.submit(images.image_url(first + n)) for n in range(count)]
    await running.wait_terminal(ids)
    return ids
