"""Every engine returns hits in the same order, page by page, and counts them."""

import itertools
from collections import Counter

import pytest

from core.model.color import Color
from core.search.query import Facet, FacetValue, Range, SearchQuery, Similar, SortKey
from harness.search_documents import ACME, RIVAL, document, flipped, terms
from harness.search_engines import Engine

SIZES = (1, 3, 100)
HASH = "00ff00ff00ff00ff"


async def test_hits_are_ordered_by_descending_time_and_then_by_id(engine: Engine) -> None:
    """Ids of the same time are compared as strings: 10 comes before 9."""
    await engine.put(
        *(document(image_id=f"image-{name}", created_at=5) for name in ("9", "b", "10", "a", "1")),
        document(image_id="oldest", created_at=4),
        document(image_id="newest", created_at=6),
        document(image_id="first", created_at=0),
    )
    same = [f"image-{name}" for name in ("1", "10", "9", "a", "b")]
    assert await engine.ids() == ["newest", *same, "oldest", "first"]


@pytest.mark.parametrize("size", SIZES)
async def test_pages_list_each_hit_once(engine: Engine, size: int) -> None:
    """Also if many hits have the same time. Every page has the total, and the last page has no more."""
    await engine.put(*(document(created_at=number // 8) for number in range(30)))
    await engine.put(*(document(customer_id=RIVAL, created_at=number) for number in range(5)))
    query = SearchQuery(ACME)
    all_hits = (await engine.search(query)).hits
    assert len(all_hits) == 30
    walked = [hit async for page in engine.walk(query, size) for hit in page]
    assert walked == list(all_hits)
    for index in (0, 14, 29):
        found = await engine.search(query, limit=size, after=all_hits[index])
        assert found.total == 30
        assert found.more == (index + size < 29)


async def test_a_page_that_ends_with_the_last_hit_is_the_last(engine: Engine) -> None:
    """The client never has to read an empty page."""
    await engine.put(*(document() for _ in range(3)))
    assert not (await engine.search(SearchQuery(ACME), limit=3)).more
    assert (await engine.search(SearchQuery(ACME), limit=2)).more


@pytest.mark.parametrize("size", SIZES)
async def test_new_documents_do_not_shift_later_pages(engine: Engine, size: int) -> None:
    """Documents written during pagination are newer than the first page, so no hit is lost or repeated."""
    first = [document(created_at=1_000 + number // 4) for number in range(20)]
    await engine.put(*first)
    walked = []
    times = itertools.count(2_000)
    async for page in engine.walk(SearchQuery(ACME), size):
        walked += [hit.image_id for hit in page]
        await engine.put(document(created_at=next(times)), document(created_at=next(times)))
    assert sorted(walked) == sorted(each.image_id for each in first)


@pytest.mark.parametrize("size", SIZES)
async def test_similar_images_are_ordered_by_distance_time_and_id(
    engine: Engine, size: int
) -> None:
    """The nearest come first. Equal distances are ordered by descending time, equal times by id."""
    documents = [
        document(
            created_at=time,
            perceptual_hash=flipped(HASH, range(distance)),
            image_id=f"{distance}-{time}-{name}",
        )
        for distance, time, name in itertools.product((0, 1, 6, 7), (1, 2), "bca")
    ]
    await engine.put(*documents)
    query = SearchQuery(ACME, similar=Similar(HASH, 6))
    walked = [hit async for page in engine.walk(query, size) for hit in page]
    assert walked == [
        SortKey(distance, time, f"{distance}-{time}-{name}")
        for distance in (0, 1, 6)
        for time in (2, 1)
        for name in "abc"
    ]
    found = await engine.search(query, limit=size, after=walked[-1])
    assert (found.hits, found.total, found.more) == ((), 18, False)


async def test_a_page_may_start_after_a_hit_that_does_not_exist(engine: Engine) -> None:
    """The last hit of the previous page may have been deleted."""
    await engine.put(*(document(image_id=f"at-{time}", created_at=time) for time in (10, 20)))
    query = SearchQuery(ACME)
    for after, expected in (
        (SortKey(0, 15, "gone"), ["at-10"]),
        (SortKey(0, 20, "at-1"), ["at-20", "at-10"]),
        (SortKey(0, 10, "at-100"), []),
        (SortKey(0, 2**53, ""), ["at-20", "at-10"]),
    ):
        hits = (await engine.search(query, after=after)).hits
        assert [hit.image_id for hit in hits] == expected


async def test_facets_count_all_hits(engine: Engine) -> None:
    """They count the customer's hits of all pages. Images without a value are not counted."""
    await engine.put(
        document(format="JPEG", color=Color.RED, camera="Canon", origin_host="a.example"),
        document(format="JPEG", color=Color.RED, camera="canon", origin_host="b.example"),
        document(format="PNG", color=Color.BLUE, camera="Canon"),
        document(format="GIF"),
        document(customer_id=RIVAL, format="WEBP", color=Color.PINK, camera="Nikon"),
    )
    expected = (
        Facet("format", (FacetValue("JPEG", 2), FacetValue("GIF", 1), FacetValue("PNG", 1))),
        Facet("color", (FacetValue("RED", 2), FacetValue("BLUE", 1))),
        Facet("camera", (FacetValue("Canon", 2), FacetValue("canon", 1))),
        Facet("origin_host", (FacetValue("a.example", 1), FacetValue("b.example", 1))),
    )
    first = await engine.search(SearchQuery(ACME), limit=1, facets=True)
    assert first.facets == expected
    assert (
        await engine.search(SearchQuery(ACME), limit=1, after=first.hits[0], facets=True)
    ).facets == expected
    assert (await engine.search(SearchQuery(ACME))).facets == ()


async def test_facets_count_only_matching_images(engine: Engine) -> None:
    """Every condition applies to facets, also similarity."""
    await engine.put(
        document(camera="Canon", width=10, perceptual_hash=HASH),
        document(camera="Canon", width=20, perceptual_hash=flipped(HASH, [63])),
        document(camera="Nikon", width=10, perceptual_hash=flipped(HASH, range(12))),
        document(camera="Leica", width=10, labels={"camera": "canon"}),
    )

    async def cameras(**conditions: object) -> dict[str, int]:
        found = await engine.search(SearchQuery(ACME, **conditions), facets=True)  # type: ignore[arg-type]
        return {value.value: value.count for value in found.facets[2].values}

    assert await cameras(similar=Similar(HASH, 11)) == {"Canon": 2}
    assert await cameras(words=terms("canon")) == {"Canon": 2, "Leica": 1}
    assert await cameras(width=Range(10, 10), similar=Similar(HASH, 1)) == {"Canon": 1}
    assert await cameras(cameras=("Sony",)) == {}


async def test_facets_contain_the_twenty_most_frequent_values(engine: Engine) -> None:
    """Equally frequent values are ordered by code point, ascending."""
    often = {f"often-{number}": 2 for number in (1, 2, 10)}
    once = [
        "Z",
        "a",
        "zz",
        "é",
        "東",
        "\uff5a",
        "😀",
        *(f"camera-{number}" for number in range(20)),
    ]
    counts = Counter(often) + Counter(once)
    await engine.put(*(document(camera=camera) for camera in counts.elements()))
    found = await engine.search(SearchQuery(ACME), limit=1, facets=True)
    values = found.facets[2].values
    ranked = [*sorted(often), *sorted(once)][:20]
    assert [(value.value, value.count) for value in values] == [
        (name, counts[name]) for name in ranked
    ]
    found = await engine.search(SearchQuery(ACME, cameras=tuple(once[:7])), limit=1, facets=True)
    assert [value.value for value in found.facets[2].values] == sorted(once[:7])
