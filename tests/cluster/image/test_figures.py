"""What the processes need, measured in containers of one CPU: start, memory at rest, under load and at its worst."""

import asyncio
import time
import zlib
from collections.abc import Iterable
from itertools import cycle, islice

import pytest

from cluster.image.contained_system import ContainedSystem, Container
from cluster.image.figures import Figures
from harness.origin import SAMPLE_FOLDER, origin
from harness.pictures import png_chunk
from imageservice.v1 import image_service_pb2 as pb

pytestmark = pytest.mark.timeout(900)

SAMPLES = sorted(path.name for path in SAMPLE_FOLDER.glob("*.*") if path.suffix != ".md")
AT_ONCE = 50
DECODE_BUDGET_BYTES = 536_870_912
LARGE_PICTURES = 12
LARGE_SIDE = 9_400  # The largest that is accepted in one frame is 89,478,485 pixels.


async def submit_all(contained: ContainedSystem, urls: Iterable[str]) -> list[str]:
    """Submit on one connection, a bounded number at a time."""
    ids: list[str] = []
    waiting = iter(urls)

    async with contained.stub() as stub:

        async def submit() -> None:
            for url in waiting:
                request = pb.SubmitImageRequest(url=url, customer_id="acme")
                ids.append((await stub.SubmitImage(request, timeout=60)).request_id)

        await asyncio.gather(*(submit() for _ in range(AT_ONCE)))
    return ids


async def add_memory(figures: Figures, what: str, container: Container) -> None:
    now, highest = await container.resident_bytes()
    figures.add_bytes(f"{what}, resident", now)
    figures.add_bytes(f"{what}, resident at most", highest)
    assert not (await container.state())["OOMKilled"]


@pytest.mark.parametrize(("kind", "requests"), [("small", 2_000), ("sample", 400)])
async def test_a_bounded_load_on_one_cpu_each(
    contained: ContainedSystem, figures: Figures, kind: str, requests: int
) -> None:
    """Requests and limits of the manifests rest on this; what it takes is told, and none is lost."""
    server = await contained.run_server()
    consumer = await contained.run_consumer()
    async with origin() as images:
        began = time.monotonic()
        ids = await submit_all(contained, pictures(kind, images.base, requests))
        figures.add_rate(f"{kind} pictures, submits", requests / (time.monotonic() - began))
        ended = await contained.wait_terminal(ids, seconds=600)
        figures.add_rate(f"{kind} pictures, to their end", requests / (time.monotonic() - began))
    assert {request.state for request in ended.values()} == {pb.STATE_COMPLETED}
    assert len(ended) == requests
    await add_memory(figures, f"{kind} pictures, server", server)
    await add_memory(figures, f"{kind} pictures, consumer", consumer)


def pictures(kind: str, base: str, count: int) -> list[str]:
    """URLs of made ones below a kilobyte, or of the samples, which come from cameras and editors."""
    if kind == "small":
        return [f"{base}/generated/{number}.jpg" for number in range(count)]
    return [f"{base}/pictures/{name}" for name in islice(cycle(SAMPLES), count)]


async def test_a_start_takes_seconds(contained: ContainedSystem, figures: Figures) -> None:
    """What a new pod costs before it works, and what it holds while it has nothing to do."""
    began = time.monotonic()
    server = await contained.run_server()
    figures.add_seconds("server, from docker run to SERVING", time.monotonic() - began)
    began = time.monotonic()
    consumer = await contained.run_consumer()
    await consumer.metrics()
    figures.add_seconds("consumer, from docker run to work", time.monotonic() - began)
    exporter = await contained.run_exporter()
    await exporter.metrics()
    await add_memory(figures, "server at rest", server)
    await add_memory(figures, "consumer at rest", consumer)
    await add_memory(figures, "queue-exporter", exporter)


async def test_the_largest_pictures_fit_into_their_budget(
    contained: ContainedSystem, figures: Figures
) -> None:
    """Two of them would not; and what one has taken goes back to the system before the next."""
    large = await asyncio.to_thread(large_png, LARGE_SIDE)
    async with origin() as images:
        url = images.serve_body("/large.png", large)
        await contained.run_server()
        consumer = await contained.run_consumer()
        await consumer.metrics()
        at_rest, _ = await consumer.resident_bytes()
        ids = await submit_all(contained, [url] * LARGE_PICTURES)
        ended = await contained.wait_terminal(ids, seconds=600)
    assert {request.state for request in ended.values()} == {pb.STATE_COMPLETED}
    await add_memory(figures, "consumer with the largest pictures", consumer)
    _, highest = await consumer.resident_bytes()
    assert highest < at_rest + DECODE_BUDGET_BYTES


def large_png(side: int) -> bytes:
    """A black square in true colour: hundreds of megabytes in a few hundred kilobytes."""
    header = side.to_bytes(4, "big") * 2 + b"\x08\x02\x00\x00\x00"
    packer = zlib.compressobj(9)
    row = bytes(1 + 3 * side)
    data = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    chunks = ((b"IHDR", header), (b"IDAT", data), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in chunks)
