"""Resource needs in containers with one CPU: time to start, memory idle, under load, and with the largest images."""

import asyncio
import time
import zlib
from collections.abc import Iterable
from itertools import cycle, islice

import pytest

from cluster.image.contained_system import ContainedSystem, Container
from cluster.image.figures import Figures
from harness.images import png_chunk
from harness.origin import SAMPLE_FOLDER, origin
from imageservice.v1 import image_service_pb2 as pb

pytestmark = pytest.mark.timeout(900)

SAMPLES = sorted(path.name for path in SAMPLE_FOLDER.glob("*.*") if path.suffix != ".md")
CONCURRENCY = 50
DECODE_BUDGET_BYTES = 704_643_072
LARGE_IMAGES = 12
LARGE_SIDE = 9_400  # The limit of one frame is 89,478,485 pixels.


async def submit_all(contained: ContainedSystem, urls: Iterable[str]) -> list[str]:
    """Submit on one connection with bounded concurrency."""
    ids: list[str] = []
    remaining = iter(urls)

    async with contained.stub() as stub:

        async def submit() -> None:
            for url in remaining:
                request = pb.SubmitImageRequest(url=url, customer_id="acme")
                ids.append((await stub.SubmitImage(request, timeout=60)).request_id)

        await asyncio.gather(*(submit() for _ in range(CONCURRENCY)))
    return ids


async def add_memory(figures: Figures, name: str, container: Container) -> None:
    now, highest = await container.resident_bytes()
    figures.add_bytes(f"{name}, resident", now)
    figures.add_bytes(f"{name}, resident at most", highest)
    assert not (await container.state())["OOMKilled"]


@pytest.mark.parametrize(("kind", "requests"), [("small", 2_000), ("sample", 400)])
async def test_a_bounded_load_on_one_cpu_each(
    contained: ContainedSystem, figures: Figures, kind: str, requests: int
) -> None:
    """The requests and limits of the manifests are based on these figures. No request is lost."""
    server = await contained.run_server()
    consumer = await contained.run_consumer()
    async with origin() as images:
        began = time.monotonic()
        ids = await submit_all(contained, image_urls(kind, images.base, requests))
        figures.add_rate(f"{kind} images, submits", requests / (time.monotonic() - began))
        ended = await contained.wait_terminal(ids, seconds=600)
        figures.add_rate(f"{kind} images, completed", requests / (time.monotonic() - began))
    assert {request.state for request in ended.values()} == {pb.STATE_COMPLETED}
    assert len(ended) == requests
    await add_memory(figures, f"{kind} images, server", server)
    await add_memory(figures, f"{kind} images, consumer", consumer)


def image_urls(kind: str, base: str, count: int) -> list[str]:
    """Return URLs of generated images below 1 kB, or of the samples, which come from cameras and editors."""
    if kind == "small":
        return [f"{base}/generated/{number}.jpg" for number in range(count)]
    return [f"{base}/pictures/{name}" for name in islice(cycle(SAMPLES), count)]


async def test_a_start_takes_seconds(contained: ContainedSystem, figures: Figures) -> None:
    """Time until a new pod works, and memory while it is idle."""
    began = time.monotonic()
    server = await contained.run_server()
    figures.add_seconds("server, from docker run to SERVING", time.monotonic() - began)
    began = time.monotonic()
    consumer = await contained.run_consumer()
    await consumer.metrics()
    figures.add_seconds("consumer, from docker run to metrics", time.monotonic() - began)
    exporter = await contained.run_exporter()
    await exporter.metrics()
    await add_memory(figures, "idle server", server)
    await add_memory(figures, "idle consumer", consumer)
    await add_memory(figures, "queue-exporter", exporter)


async def test_the_largest_images_fit_into_the_decode_budget(
    contained: ContainedSystem, figures: Figures
) -> None:
    """The budget holds one at a time, and its memory is returned to the system before the next one."""
    large = await asyncio.to_thread(large_png, LARGE_SIDE)
    async with origin() as images:
        url = images.serve_body("/large.png", large)
        await contained.run_server()
        consumer = await contained.run_consumer()
        await consumer.metrics()
        idle, _ = await consumer.resident_bytes()
        ids = await submit_all(contained, [url] * LARGE_IMAGES)
        ended = await contained.wait_terminal(ids, seconds=600)
    assert {request.state for request in ended.values()} == {pb.STATE_COMPLETED}
    await add_memory(figures, "consumer with the largest images", consumer)
    _, highest = await consumer.resident_bytes()
    assert highest < idle + DECODE_BUDGET_BYTES


def large_png(side: int) -> bytes:
    """Return a black square in true colour: hundreds of megabytes of pixels in a few hundred kilobytes."""
    header = side.to_bytes(4, "big") * 2 + b"\x08\x02\x00\x00\x00"
    packer = zlib.compressobj(9)
    row = bytes(1 + 3 * side)
    data = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    chunks = ((b"IHDR", header), (b"IDAT", data), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in chunks)
