"""The generated documents of the search benchmark, and its queries."""

from collections import Counter
from itertools import pairwise

import pytest

from core.search.document import SearchDocument
from core.search.query import SearchQuery
from core.search.similarity import distance
from loadtest.bench.search.corpus import BIG_CUSTOMER, CUSTOMERS, document, ids_of_requests
from loadtest.bench.search.queries import BY_CALL, KINDS, search_cases, to_request

TOTAL = 2_000
DOCUMENTS = [document(number, TOTAL) for number in range(TOTAL)]


def test_documents_are_reproducible() -> None:
    assert [document(number, TOTAL) for number in range(TOTAL)] == DOCUMENTS
    assert len({each.image_id for each in DOCUMENTS}) == TOTAL
    assert all(older.created_at < newer.created_at for older, newer in pairwise(DOCUMENTS))


def test_one_customer_has_three_of_ten_images_and_the_others_share_the_rest_unevenly() -> None:
    counted = Counter(each.customer_id for each in DOCUMENTS)
    (name, most), (_, second), *_ = counted.most_common()
    assert (name, most, len(counted)) == (BIG_CUSTOMER, TOTAL * 3 // 10, CUSTOMERS)
    assert second > 3 * counted.most_common()[-1][1]
    images = {each.image_id: each.request_id for each in DOCUMENTS}
    assert ids_of_requests(TOTAL).items() <= images.items()
    assert len(ids_of_requests(TOTAL)) == most


@pytest.mark.parametrize("kind", KINDS)
def test_a_query_matches_an_existing_image(kind: str) -> None:
    """The queries of a round are reproducible."""
    cases = search_cases(kind, TOTAL, 20, seed=1)
    assert cases == search_cases(kind, TOTAL, 20, seed=1)
    assert all(any(_matches(each, one.query) for each in DOCUMENTS) for one in cases)
    [mine] = {
        each.query.customer_id
        for each in search_cases(kind, TOTAL, 20, seed=1, customer=BIG_CUSTOMER)
    }
    assert mine == BIG_CUSTOMER


def _matches(each: SearchDocument, query: SearchQuery) -> bool:
    """Evaluate the conditions that the benchmark uses."""
    similar = query.similar
    words = each.words
    ranges = (
        (query.width, each.width),
        (query.bytes, each.bytes),
        (query.created, each.created_at),
    )
    return (
        each.customer_id == query.customer_id
        and all(
            any(have.startswith(word.text) if word.prefix else have == word.text for have in words)
            for word in query.words
        )
        and (not query.formats or each.format in query.formats)
        and (not query.colors or each.color in query.colors)
        and all(each.labels[name] == value for name, value in query.labels)
        and all((r.first or 0) <= value <= (r.last or value) for r, value in ranges)
        and (
            similar is None
            or distance(each.perceptual_hash, similar.perceptual_hash) <= similar.distance
        )
    )


@pytest.mark.parametrize("kind", BY_CALL)
def test_a_request_contains_every_condition_of_its_query(kind: str) -> None:
    [case] = search_cases(kind, TOTAL, 1, seed=1)
    query, call = case.query, to_request(case, 20)
    assert (call.customer_id, call.page_size, call.facets) == (query.customer_id, 20, case.facets)
    assert call.text.split() == [word.text for word in query.words]
    assert call.similar_to == (query.similar.perceptual_hash if query.similar else "")
    assert call.max_distance == (query.similar.distance if query.similar else 0)
    others = (query.formats, query.colors, query.cameras, query.origin_hosts, query.labels)
    assert not any(others)
    assert query.width.open
    assert query.bytes.open
    assert query.created.open
    assert case.after is None
