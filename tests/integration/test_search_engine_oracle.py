"""For generated queries and documents, every engine returns the same result as a scan of all documents."""

import uuid
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.model.color import Color
from core.search.document import SearchDocument
from core.search.query import FACET_FIELDS, Range, SearchQuery, Similar, Term
from core.search.similarity import MAX_DISTANCE
from core.search.tokenizer import tokenize
from harness.search_documents import ACME, RIVAL, answer, flipped, terms
from harness.search_engines import Engine

HASH = "5a5a0000ffff1234"

QUERIES = {"sqlite": 6, "opensearch": 3}
"""Queries per example, by engine. A refresh is fast in SQLite and slow in OpenSearch."""

texts = st.one_of(
    st.sampled_from(
        [
            "",
            "Canon EOS",
            "canon",
            "EOS-1",
            "Zürich",
            "zurich 1",
            "ΕΛΛΑΔΑ",
            "東京 1",
            'a "b" OR* c%',
            "\\d+",
            "📷",
        ]
    ),
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12),
)
keys = st.sampled_from(["order", "Order", "a=b", "ü", "*"])
formats = st.sampled_from(["JPEG", "PNG", "GIF"])
colors = st.sampled_from([Color.RED, Color.BLUE, Color.GRAY])
small = st.integers(0, 6)
large = st.sampled_from([0, 1, 2**31, 2**53, 2**53 + 1, 2**62])
hashes = st.builds(flipped, st.just(HASH), st.sets(st.integers(0, 63), max_size=14))
customers = st.sampled_from([ACME, ACME, ACME, RIVAL])

documents = st.builds(
    SearchDocument,
    image_id=st.uuids().map(str),
    request_id=st.just("request"),
    customer_id=customers,
    revision=st.just(2),
    created_at=small,
    format=formats,
    width=small,
    height=small,
    bytes=large,
    camera=texts,
    origin_host=texts,
    labels=st.dictionaries(keys, texts, max_size=3),
    color=st.none() | colors,
    perceptual_hash=st.just("") | hashes,
)


def ranges(numbers: st.SearchStrategy[int]) -> st.SearchStrategy[Range]:
    return st.builds(Range, st.none() | numbers, st.none() | numbers)


def some(values: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[str, ...]]:
    """Draw a list of values, often empty: with too many conditions, nothing would match."""
    return st.one_of(st.just(()), st.just(()), st.lists(values, min_size=1, max_size=2).map(tuple))


@st.composite
def queries(draw: st.DrawFn, present: Sequence[SearchDocument]) -> SearchQuery:
    """Draw a query. Most of its values occur in the documents `present`."""
    cameras = st.sampled_from([each.camera for each in present if each.camera] or ["none"])
    hosts = st.sampled_from([each.origin_host for each in present if each.origin_host] or ["none"])
    labels = [item for each in present for item in each.labels.items()]
    wanted = st.sampled_from(labels) if labels else st.tuples(keys, texts)
    return SearchQuery(
        customer_id=draw(customers),
        words=draw(_words(present)),
        formats=draw(some(formats)),
        colors=draw(some(colors)),
        cameras=draw(some(cameras | texts)),
        origin_hosts=draw(some(hosts | texts)),
        labels=draw(st.just(()) | st.lists(wanted, max_size=2).map(tuple)),
        width=draw(st.just(Range()) | ranges(small)),
        height=draw(st.just(Range()) | ranges(small)),
        bytes=draw(st.just(Range()) | ranges(large)),
        created=draw(st.just(Range()) | ranges(small)),
        similar=draw(st.none() | st.builds(Similar, hashes, st.integers(0, MAX_DISTANCE))),
    )


@st.composite
def _words(draw: st.DrawFn, present: Sequence[SearchDocument]) -> tuple[Term, ...]:
    known = sorted({word for each in present for word in each.words}) or ["none"]
    chosen = draw(st.lists(st.sampled_from(known), max_size=2))
    cut = draw(st.integers(1, 8))
    prefixes = [
        Term(word[:cut], prefix=True) for word in chosen if tokenize(word[:cut]) == (word[:cut],)
    ]
    return draw(st.sampled_from([(), tuple(map(Term, chosen)), tuple(prefixes)]) | texts.map(terms))


async def compare(engine: Engine, data: st.DataObject) -> None:
    """Write documents of customers that no other example uses, and compare each page of the queries."""
    run = uuid.uuid4().hex
    present = [
        replace(each, customer_id=f"{each.customer_id}-{run}")
        for each in data.draw(st.lists(documents, max_size=12), "documents")
    ]
    await engine.put(*present)
    for _ in range(QUERIES[engine.name]):
        drawn = data.draw(queries(present), "query")
        query = replace(drawn, customer_id=f"{drawn.customer_id}-{run}")
        limit = data.draw(st.integers(1, 5), "page")
        after = None
        while True:
            found = await engine.search(query, limit=limit, after=after, facets=True)
            assert found == answer(present, query, limit=limit, after=after, facets=True)
            assert tuple(facet.field for facet in found.facets) == FACET_FIELDS
            if not found.more:
                break
            after = found.hits[-1]


@pytest.mark.timeout(600)
@given(data=st.data())
@settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
async def test_every_query_has_the_correct_result(engine: Engine, data: st.DataObject) -> None:
    """Hits, their order, the total and the facets are those of a scan."""
    await compare(engine, data)
