"""Searches from a client's view, with an index of the test's own."""

from typing import Any

import grpc
import pytest

from core.dynamodb.tables import Tables
from harness.counting_tables import CountingTables
from harness.grpc_client import expect_refusal
from harness.index_fixture import Index, search_image_ids, search_pages
from harness.lists import at
from harness.running_server import ServerFactory
from harness.search_engines import Engine
from imageservice.v1 import image_service_pb2 as pb

FIRST = 1_700_000_000_000
HASH = "00000000000000ff"
NEAR = "00000000000000f8"
FAR = "ff00ff00ff00ff00"

MATCHES: list[dict[str, Any]] = [
    {"text": "fuji"},
    {"text": "HOLI* fuji"},
    {"text": "b.example"},
    {"formats": ["PNG", "GIF"]},
    {"colors": [pb.COLOR_RED]},
    {"cameras": ["Fuji X100"]},
    {"origin_hosts": ["B.example"]},
    {"labels": {"trip": "Holiday"}},
    {"width": pb.IntRange(min=101)},
    {"height": pb.IntRange(max=50)},
    {"bytes": pb.IntRange(min=777, max=777)},
    {"created_after": at(FIRST + 1)},
    {"similar_to": HASH.upper(), "max_distance": 3},
    {"similar_to": HASH},
]
"""Each condition matches only TARGET."""
TARGET: dict[str, Any] = {
    "created_at": FIRST + 1,
    "url": "https://b.example/2",
    "labels": {"trip": "Holiday"},
    "format": "PNG",
    "width": 200,
    "height": 50,
    "bytes": 777,
    "camera": "Fuji X100",
    "dominant_color": "#ff0000",
    "perceptual_hash": NEAR,
}
OTHER: dict[str, Any] = {
    "created_at": FIRST,
    "url": "https://a.example/1",
    "labels": {"trip": "work"},
    "width": 100,
    "height": 100,
    "camera": "Canon EOS 5D",
    "dominant_color": "#0000ff",
    "perceptual_hash": FAR,
}


@pytest.fixture
def own_index(engine: Engine, tables: Tables) -> Index:
    settings = engine.settings.model_dump(
        include={"search_url", "search_index", "search_timeout_s"}
    )
    return Index(settings, engine.writer, tables)


async def test_a_page_reads_its_images_and_rows_in_two_calls(
    servers: ServerFactory, own_index: Index, customer: str
) -> None:
    """The row decides whether an image is published."""
    for number in range(5):
        await own_index.add(customer, created_at=FIRST + number)
    counting = servers.tables(CountingTables)
    async with servers.running(tables=counting, **own_index.settings) as server:
        assert len(await search_image_ids(server.stub, customer_id=customer)) == 5
    assert (counting.reads, counting.read_calls) == (10, 2)


@pytest.mark.parametrize("fields", MATCHES, ids="-".join)
async def test_each_condition_finds_the_matching_image(
    servers: ServerFactory, own_index: Index, customer: str, fields: dict[str, Any]
) -> None:
    """And nothing else, only of this customer, with the same content as GetImage."""
    target = await own_index.add(customer, **TARGET)
    await own_index.add(customer, **OTHER)
    theirs = await own_index.add(f"{customer}-other", **TARGET)
    async with servers.running(**own_index.settings) as server:
        message = pb.SearchImagesRequest(customer_id=customer, **fields)
        answer = await server.stub.SearchImages(message)
        got = await server.stub.GetImage(pb.GetImageRequest(image_id=target.image_id))
        assert answer == pb.SearchImagesResponse(images=[got.image], total=1)
        of_other = await search_image_ids(server.stub, customer_id=f"{customer}-other", **fields)
        assert of_other == [theirs.image_id]
        assert not await search_image_ids(server.stub, customer_id=f"{customer}-third", **fields)


async def test_all_conditions_must_match(
    servers: ServerFactory, own_index: Index, customer: str
) -> None:
    """All conditions together match one image; with one more that it does not match, none."""
    target = await own_index.add(customer, **TARGET)
    every: dict[str, Any] = {"customer_id": customer}
    for fields in MATCHES:
        every |= fields
    async with servers.running(**own_index.settings) as server:
        assert await search_image_ids(server.stub, **every) == [target.image_id]
        assert not await search_image_ids(server.stub, **{**every, "formats": ["JPEG"]})


@pytest.mark.parametrize("size", [1, 7, 25, 100])
async def test_pages_list_each_image_once_newest_first(
    servers: ServerFactory, own_index: Index, customer: str, size: int
) -> None:
    """For any page size; no page is larger, each has the total, and only the last one has no token."""
    records = [await own_index.add(customer, created_at=FIRST + n // 2) for n in range(25)]
    order = sorted(records, key=lambda record: (-record.created_at, record.image_id))
    async with servers.running(**own_index.settings) as server:
        reader = search_pages(server.stub, customer_id=customer, page_size=size)
        pages = [page async for page in reader]
    assert [i.image_id for page in pages for i in page.images] == [r.image_id for r in order]
    assert max(len(page.images) for page in pages) == min(size, 25)
    assert {page.total for page in pages} == {25}


async def test_similar_images_come_nearest_first(
    servers: ServerFactory, own_index: Index, customer: str
) -> None:
    """Over all pages; with equal distances the newer image first."""
    hashes = [FAR, "00000000000000fe", HASH, "000000000000007f", "000000000000003f"]
    records = [
        await own_index.add(customer, created_at=FIRST + n, perceptual_hash=each)
        for n, each in enumerate(hashes)
    ]
    expected = [records[number].image_id for number in (2, 3, 1, 4)]
    query: dict[str, Any] = {"customer_id": customer, "similar_to": HASH, "page_size": 1}
    async with servers.running(**own_index.settings) as server:
        assert await search_image_ids(server.stub, **query) == expected
        assert await search_image_ids(server.stub, **query, max_distance=1) == expected[:3]
        assert await search_image_ids(server.stub, **query, max_distance=0) == expected[:1]


async def test_images_added_between_pages_repeat_none(
    servers: ServerFactory, own_index: Index, customer: str
) -> None:
    """Images that were searchable at the first page are listed once, even if others are added meanwhile."""
    records = [await own_index.add(customer, created_at=FIRST + n) for n in range(9)]
    listed_ids: list[str] = []
    async with servers.running(**own_index.settings) as server:
        async for page in search_pages(server.stub, customer_id=customer, page_size=2):
            listed_ids += [image.image_id for image in page.images]
            await own_index.add(customer, created_at=FIRST + 100 + len(listed_ids))
    assert listed_ids == [record.image_id for record in reversed(records)]


async def test_facets_are_returned_if_requested(
    servers: ServerFactory, own_index: Index, customer: str
) -> None:
    """They count all matching images, on any page, and none of another customer."""
    await own_index.add(customer, **TARGET)
    for created_at in (FIRST, FIRST + 5):
        await own_index.add(customer, **{**OTHER, "created_at": created_at})
    await own_index.add(f"{customer}-other", **TARGET)
    message = pb.SearchImagesRequest(customer_id=customer, page_size=1)
    async with servers.running(**own_index.settings) as server:
        first = await server.stub.SearchImages(message)
        assert not first.facets
        message.facets, message.page_token = True, first.next_page_token
        second = await server.stub.SearchImages(message)
    counted = {facet.field: [(v.value, v.count) for v in facet.values] for facet in second.facets}
    assert counted == {
        "format": [("JPEG", 2), ("PNG", 1)],
        "color": [("BLUE", 2), ("RED", 1)],
        "camera": [("Canon EOS 5D", 2), ("Fuji X100", 1)],
        "origin_host": [("a.example", 2), ("b.example", 1)],
    }


async def test_a_token_is_invalid_for_another_customer(
    servers: ServerFactory, own_index: Index, customer: str
) -> None:
    """Nor with other conditions; only page size and facets may change."""
    for created_at in range(FIRST, FIRST + 5):
        await own_index.add(customer, created_at=created_at)
    query: dict[str, Any] = {"customer_id": customer, "formats": ["JPEG"]}
    async with servers.running(**own_index.settings) as server:
        page = await server.stub.SearchImages(pb.SearchImagesRequest(**query, page_size=2))
        query["page_token"] = page.next_page_token
        assert len(await search_image_ids(server.stub, **query, page_size=1, facets=True)) == 3
        changes: list[dict[str, Any]] = [
            {"customer_id": f"{customer}-other"},
            {"formats": ["JPEG", "PNG"]},
            {"text": "a"},
            {"similar_to": HASH},
        ]
        for change in changes:
            changed = pb.SearchImagesRequest(**{**query, **change})
            refusal = await expect_refusal(server.stub.SearchImages(changed))
            assert (refusal.reason, refusal.fields) == ("INVALID_REQUEST", ("page_token",))


async def test_an_invalid_field_is_named(servers: ServerFactory, own_index: Index) -> None:
    """INVALID_ARGUMENT contains the invalid fields."""
    message = pb.SearchImagesRequest(text="*", formats=["SVG"], width=pb.IntRange(min=2, max=1))
    async with servers.running(**own_index.settings) as server:
        refusal = await expect_refusal(server.stub.SearchImages(message))
    assert (refusal.code, refusal.reason) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "INVALID_REQUEST",
    )
    assert refusal.fields == ("customer_id", "text", "formats[0]", "width.max")
