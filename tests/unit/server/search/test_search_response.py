"""Building a page from the hits of the engine and the images of the tables."""

import uuid
from collections.abc import Sequence

from core.search.query import Facet, FacetValue, SearchQuery, SearchResult, SortKey
from imageservice.v1 import image_service_pb2 as pb
from server.paging import MAX_PAGE_BYTES
from server.search.page_token import decode
from server.search.request import SearchPageRequest
from server.search.searcher import search_response

GRPC_MAX_MESSAGE_BYTES = 4 * 1024 * 1024
"""The largest message in bytes that gRPC clients accept by default."""
QUERY = SearchQuery("acme")
PAGE_REQUEST = SearchPageRequest(QUERY, 100, facets=False)
HITS = tuple(SortKey(0, 1_000 - number, str(uuid.UUID(int=number))) for number in range(100))


def images(hits: Sequence[SortKey], url: str = "") -> list[pb.Image | None]:
    return [pb.Image(image_id=hit.image_id, public_url=url) for hit in hits]


def test_a_page_contains_the_images_of_the_tables() -> None:
    """In the order of the hits. Missing images are left out, and the next page continues after the last hit."""
    read: list[pb.Image | None] = [None, *images(HITS[1:9]), None]
    page = search_response(PAGE_REQUEST, SearchResult(HITS[:10], 33, more=True), read)
    assert [image.image_id for image in page.images] == [hit.image_id for hit in HITS[1:9]]
    assert page.total == 33
    assert decode(QUERY, page.next_page_token) == HITS[9]


def test_an_empty_page_can_have_a_token() -> None:
    """If the tables have none of its images, the search continues."""
    page = search_response(PAGE_REQUEST, SearchResult(HITS[:2], 33, more=True), [None, None])
    assert not page.images
    assert decode(QUERY, page.next_page_token) == HITS[1]


def test_the_last_page_has_no_token() -> None:
    """With and without results."""
    assert not search_response(
        PAGE_REQUEST, SearchResult(HITS, 100, more=False), images(HITS)
    ).next_page_token
    assert (
        search_response(PAGE_REQUEST, SearchResult((), 0, more=False), [])
        == pb.SearchImagesResponse()
    )


def test_a_page_is_not_larger_than_a_client_takes() -> None:
    """It ends early, and the next page continues after its last image."""
    facets = tuple(Facet(name, (FacetValue("v" * 512, 1),) * 20) for name in ("camera", "host"))
    found = SearchResult(HITS, 100, more=False, facets=facets)
    page = search_response(PAGE_REQUEST, found, images(HITS, "u" * 100_000))
    assert MAX_PAGE_BYTES <= page.ByteSize() < GRPC_MAX_MESSAGE_BYTES
    assert decode(QUERY, page.next_page_token) == HITS[len(page.images) - 1]


def test_facets_are_returned_as_counted() -> None:
    """With the names of the contract, in their order."""
    facet = Facet("color", (FacetValue("RED", 3), FacetValue("BLUE", 1)))
    page = search_response(PAGE_REQUEST, SearchResult((), 4, more=False, facets=(facet,)), [])
    assert [(each.field, [(v.value, v.count) for v in each.values]) for each in page.facets] == [
        ("color", [("RED", 3), ("BLUE", 1)])
    ]
