"""From a submit to a search that finds the image, with real processes."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import pytest

from core.runtime.clock import now_ms
from harness.aws import RecordingAws
from harness.command import imageservice
from harness.index_fixture import Index, index, search_image_ids, search_pages
from harness.origin import origin
from harness.processes import CompletedProcess
from harness.system import System, system
from harness.tables import tables_of
from harness.waiting import wait_for
from imageservice.v1 import image_service_pb2 as pb

CUSTOMERS = [f"customer-{number}" for number in range(3)]
IMAGES = 120
"""Images of each customer, two in each millisecond."""
PAGE_SIZES = (7, 33, 100)
SAMPLES = {
    "astronaut.png": {"subject": "Astronaut", "set": "people"},
    "astronaut.bmp": {"subject": "Astronaut", "set": "people"},
    "coffee.webp": {"subject": "Café crème", "set": "drinks"},
    "rocket-progressive.jpg": {"subject": "rocket", "set": "machines"},
}


@dataclass(frozen=True, slots=True)
class Published:
    """COMPLETED images by sample name."""

    running: System
    customer: str
    images: Mapping[str, pb.Image]

    async def names(self, **fields: Any) -> list[str]:
        """Return the sample names of a search's images, in order."""
        by_id = {image.image_id: name for name, image in self.images.items()}
        async with self.running.stub() as stub:
            ids = await search_image_ids(stub, **{"customer_id": self.customer, **fields})
        return [by_id[each] for each in ids]

    async def search(self, *arguments: str) -> CompletedProcess:
        """Run the command."""
        command = ("search", "--customer", self.customer, *arguments)
        return await imageservice(*command, address=self.running.address)


async def submitted(running: System, origin: str, customer: str) -> dict[str, pb.Image]:
    """Submit the samples one after another, so that the last one is the newest. Return their images."""
    images = {}
    for name, labels in SAMPLES.items():
        request = pb.SubmitImageRequest(
            url=f"{origin}/pictures/{name}",
            customer_id=customer,
            request_id=str(uuid.uuid4()),
            labels=labels,
        )
        async with running.stub() as stub:
            await stub.SubmitImage(request, timeout=30)
        ended = await running.wait_terminal([request.request_id])
        images[name] = ended[request.request_id].image
    return images


async def until_total(running: System, customer: str, total: int) -> None:
    """Wait until a search finds so many images of a customer."""
    call = pb.SearchImagesRequest(customer_id=customer, page_size=1)
    async with running.stub() as stub:

        async def reached() -> bool:
            return (await stub.SearchImages(call, timeout=30)).total == total

        await wait_for(reached, f"{total} images found")


@pytest.fixture(name="origin")
async def _origin() -> AsyncIterator[str]:
    async with origin() as images:
        yield images.base


@pytest.fixture
async def published(embedded_aws: RecordingAws, origin: str) -> AsyncIterator[Published]:
    """A system whose indexer has indexed all samples."""
    customer = f"customer-{uuid.uuid4()}"
    async with system(embedded_aws) as running:
        await running.start_server()
        await running.start_consumer()
        await running.start_indexer()
        images = await submitted(running, origin, customer)
        await until_total(running, customer, len(images))
        yield Published(running, customer, images)


async def test_an_image_is_found_by_its_properties(published: Published) -> None:
    """By words of its labels, format, size, colour and similarity. The results equal those of GetImage."""
    names, images = published.names, published.images
    assert await names() == list(SAMPLES)[::-1]
    assert await names(text="cafe CREM*") == ["coffee.webp"]
    assert await names(formats=["PNG", "BMP"]) == ["astronaut.bmp", "astronaut.png"]
    assert await names(labels={"set": "people", "subject": "Astronaut"}, formats=["PNG"]) == [
        "astronaut.png"
    ]
    assert await names(origin_hosts=["127.0.0.1"], width=pb.IntRange(min=400, max=450)) == [
        "coffee.webp"
    ]
    like = images["astronaut.png"].metadata.perceptual_hash
    assert (await names(similar_to=like))[0] == "astronaut.png"
    assert set(await names(similar_to=like)) == {"astronaut.png", "astronaut.bmp"}
    async with published.running.stub() as stub:
        call = pb.SearchImagesRequest(customer_id=published.customer, facets=True)
        page = await stub.SearchImages(call)
        for image in page.images:
            got = await stub.GetImage(pb.GetImageRequest(image_id=image.image_id))
            assert got.image == image
    counted = {facet.field: {v.value: v.count for v in facet.values} for facet in page.facets}
    assert counted["format"] == {"BMP": 1, "JPEG": 1, "PNG": 1, "WEBP": 1}
    assert counted["origin_host"] == {"127.0.0.1": 4}
    assert sum(counted["color"].values()) == 4


async def test_the_command_finds_an_image_by_its_label(published: Published, origin: str) -> None:
    """As in the README: a label of the submit is a word of the search."""
    url, label = f"{origin}/pictures/astronaut.png?again", "set=logos"
    command = ("submit", "--watch", "--customer", published.customer, "--label", label, url)
    ran = await imageservice(*command, address=published.running.address)
    assert ran.code == 0, ran.err
    await until_total(published.running, published.customer, len(SAMPLES) + 1)
    assert (await published.search("logos")).err.strip().startswith("1 found")


async def test_the_command_searches(published: Published) -> None:
    """Lines for people, JSON for programs, a count on stderr. Near-duplicates by hash or by image."""
    ran = await published.search("astronaut", "--facets")
    lines = ran.out.splitlines()
    url = published.images["astronaut.bmp"].public_url
    assert lines[0].endswith(f"  {url}")
    assert "  BMP   " in lines[0]
    assert ["BMP", "1"] in [line.split() for line in lines[2:]]
    assert (ran.code, ran.err) == (0, "2 found\n")
    ran = await published.search("--format", "webp", "--label", "set=drinks", "--json")
    assert [each["public_url"] for each in ran.objects] == [
        published.images["coffee.webp"].public_url
    ]
    ran = await published.search("--limit", "1", "--json", "--facets")
    image, facets = ran.objects
    assert image["metadata"]["format"] == "JPEG"
    assert (facets["total"], set(facets["facets"])) == (
        4,
        {"format", "color", "camera", "origin_host"},
    )
    assert ran.err == "4 found, 1 of them shown: --limit shows more\n"
    original = published.images["astronaut.png"]
    for like in (original.image_id, original.metadata.perceptual_hash):
        ran = await published.search("--similar-to", like, "--json")
        assert ran.objects[0]["image_id"] == original.image_id
        assert len(ran.objects) == 2
    ran = await published.search("--before", "2020-01-01")
    assert (ran.code, ran.out, ran.err) == (0, "", "0 found\n")
    ran = await published.search("--max-distance", "3")
    assert (ran.code, ran.err.count("\n")) == (1, 1)
    assert ran.err.startswith("imageservice: INVALID_REQUEST: max_distance: ")


async def test_a_server_without_a_search_engine(embedded_aws: RecordingAws) -> None:
    """The command reports the reason in one line."""
    async with system(embedded_aws) as running:
        await running.start_server(SEARCH_URL="")
        ran = await imageservice("search", "anything", address=running.address)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("imageservice: SEARCH_NOT_CONFIGURED: ")


@pytest.fixture
async def filled(embedded_aws: RecordingAws) -> AsyncIterator[tuple[System, Index]]:
    """A server, and its tables and index opened by the test."""
    async with system(embedded_aws) as running:
        await running.start_server()
        async with (
            tables_of(embedded_aws.environment("tests"), running.stack) as tables,
            index(running.search["SEARCH_URL"], tables) as own,
        ):
            yield running, own


async def add_images(own: Index, customer: str, *, before: int) -> list[str]:
    """Add images of the last second, two in each millisecond. Return their ids."""
    times = (before - 1_000 + at // 2 for at in range(IMAGES))
    return [(await own.add(customer, created_at=time)).image_id for time in times]


async def test_pages_find_each_image_once_while_others_are_added(
    filled: tuple[System, Index],
) -> None:
    """Several customers at a time, with different page sizes. No customer sees the images of another one."""
    running, own = filled
    start = now_ms()
    ids = {customer: await add_images(own, customer, before=start) for customer in CUSTOMERS}
    added: dict[str, set[str]] = {customer: set() for customer in CUSTOMERS}
    all_have_new, over = asyncio.Event(), asyncio.Event()

    async def write_on() -> None:
        for customer in cycle(CUSTOMERS):
            added[customer].add((await own.add(customer, created_at=now_ms())).image_id)
            if all(added.values()):
                all_have_new.set()
            if over.is_set():
                return

    async def walked(customer: str, size: int) -> list[str]:
        ids: list[str] = []
        fields: dict[str, Any] = {"customer_id": customer, "text": "a.example", "page_size": size}
        async with running.stub() as stub:
            async for page in search_pages(stub, **fields):
                ids += [image.image_id for image in page.images]
                # Each customer gets a new image before its second page.
                await all_have_new.wait()
        return ids

    async with asyncio.TaskGroup() as group:
        group.create_task(write_on())
        walks = await asyncio.gather(*map(walked, CUSTOMERS, PAGE_SIZES))
        over.set()
    for customer, walk in zip(CUSTOMERS, walks, strict=True):
        assert len(walk) == len(set(walk)), "an image is found twice"
        assert set(ids[customer]) <= set(walk) <= {*ids[customer], *added[customer]}
