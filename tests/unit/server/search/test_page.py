"""How a page is made of what the engine found and what the tables say."""

import uuid
from collections.abc import Sequence

from core.search.query import Facet, FacetValue, SearchQuery, SearchResult, SortKey
from imageservice.v1 import image_service_pb2 as pb
from server.paging import MAX_PAGE_BYTES
from server.search.page_token import decode
from server.search.request import SearchPageRequest
from server.search.searcher import search_response

GRPC_TAKES = 4 * 1024 * 1024
"""Bytes of a message that gRPC's clients take by default."""
QUERY = SearchQuery("acme")
ASKED = SearchPageRequest(QUERY, 100, facets=False)
HITS = tuple(SortKey(0, 1_000 - number, str(uuid.UUID(int=number))) for number in range(100))


def images(hits: Sequence[SortKey], url: str = "") -> list[pb.Image | None]:
    return [pb.Image(image_id=hit.image_id, public_url=url) for hit in hits]


def test_a_page_has_what_the_tables_have() -> None:
    """In the engine's order; what is missing there is left out, and the next page goes on behind the last hit."""
    read: list[pb.Image | None] = [None, *images(HITS[1:9]), None]
    page = search_response(ASKED, SearchResult(HITS[:10], 33, more=True), read)
    assert [image.image_id for image in page.images] == [hit.image_id for hit in HITS[1:9]]
    assert page.total == 33
    assert decode(QUERY, page.next_page_token) == HITS[9]


def test_a_page_may_be_empty_and_not_the_last() -> None:
    """The tables know none of its images, and the search goes on."""
    page = search_response(ASKED, SearchResult(HITS[:2], 33, more=True), [None, None])
    assert not page.images
    assert decode(QUERY, page.next_page_token) == HITS[1]


def test_the_end_has_no_token() -> None:
    """Whether something is found or not."""
    assert not search_response(
        ASKED, SearchResult(HITS, 100, more=False), images(HITS)
    ).next_page_token
    assert search_response(ASKED, SearchResult((), 0, more=False), []) == pb.SearchImagesResponse()


def test_a_page_is_not_larger_than_a_client_takes() -> None:
    """It ends early, and goes on behind its last image on the next one."""
    facets = tuple(Facet(name, (FacetValue("v" * 512, 1),) * 20) for name in ("camera", "host"))
    found = SearchResult(HITS, 100, more=False, facets=facets)
    page = search_response(ASKED, found, images(HITS, "u" * 100_000))
    assert MAX_PAGE_BYTES <= page.ByteSize() < GRPC_TAKES
    assert decode(QUERY, page.next_page_token) == HITS[len(page.images) - 1]


def test_facets_are_told_as_they_are_counted() -> None:
    """By the contract's names, in their order."""
    facet = Facet("color", (FacetValue("RED", 3), FacetValue("BLUE", 1)))
    page = search_response(ASKED, SearchResult((), 4, more=False, facets=(facet,)), [])
    assert [(each.field, [(v.value, v.count) for v in each.values]) for each in page.facets] == [
        ("color", [("RED", 3), ("BLUE", 1)])
    ]
