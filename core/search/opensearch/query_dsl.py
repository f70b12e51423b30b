"""Translates a query into OpenSearch's query DSL, and its answer into a SearchResult. Pure."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from core.answers import MalformedAnswer, member
from core.search.opensearch.schema import band_term, customer_term, hash_long, label_term
from core.search.query import (
    FACET_FIELDS,
    FACET_VALUES,
    Facet,
    FacetValue,
    Range,
    SearchQuery,
    SearchResult,
    Similar,
    SortKey,
    Term,
)
from core.search.similarity import candidates

_DISTANCE = "Long.bitCount(doc['hash'].value ^ params.hash)"
_WITHIN = f"{_DISTANCE} <= params.distance"
_DIGEST_BYTES = 16
_SHARD_FACET_VALUES = 1_000
"""Values of a facet that each shard counts. With several shards, counts are exact if there are fewer values."""

Clause = dict[str, Any]


def search_body(query: SearchQuery, limit: int, after: SortKey | None, *, facets: bool) -> Clause:
    body: Clause = {
        "query": {"bool": {"filter": list(_filters(query))}},
        "sort": _sort(query.similar),
        # One more hit shows whether another page follows.
        "size": limit + 1,
        "track_total_hits": True,
        "_source": False,
    }
    if after is not None:
        key = [after.created_at, after.image_id]
        body["search_after"] = [after.distance, *key] if query.similar else key
    if facets:
        body["aggs"] = {field: _facet(field) for field in FACET_FIELDS}
    return body


def preference(query: SearchQuery) -> str:
    """Return the same value for all pages, so that one copy of each shard answers them: copies refresh separately."""
    return hashlib.blake2b(repr(query).encode(), digest_size=_DIGEST_BYTES).hexdigest()


def _filters(query: SearchQuery) -> Iterator[Clause]:
    yield {"term": {"customer_id": query.customer_id}}
    yield from (_word(query.customer_id, word) for word in query.words)
    yield from ({"term": {"labels": label_term(*each)}} for each in query.labels)
    for field, values in (
        ("format", query.formats),
        ("color", query.colors),
        ("camera", query.cameras),
        ("origin_host", query.origin_hosts),
    ):
        if values:
            yield {"terms": {field: list(values)}}
    for field, range_ in (
        ("width", query.width),
        ("height", query.height),
        ("bytes", query.bytes),
        ("created_at", query.created),
    ):
        if not range_.open:
            yield {"range": {field: _range(range_)}}
    if query.similar:
        yield from _similar(query.similar)


def _word(customer_id: str, word: Term) -> Clause:
    return {"prefix" if word.prefix else "term": {"words": customer_term(customer_id, word.text)}}


def _range(range_: Range) -> Clause:
    ends = {"gte": range_.first, "lte": range_.last}
    return {name: end for name, end in ends.items() if end is not None}


def _similar(similar: Similar) -> Iterator[Clause]:
    near = candidates(similar.perceptual_hash, similar.distance)
    terms = [band_term(number, value) for number, values in enumerate(near) for value in values]
    yield {"terms": {"bands": terms}}
    # The last filter, since a script costs more per document than all others.
    parameters = {"hash": hash_long(similar.perceptual_hash), "distance": similar.distance}
    yield {"script": {"script": {"source": _WITHIN, "params": parameters}}}


def _sort(similar: Similar | None) -> list[Clause]:
    order: list[Clause] = [{"created_at": "desc"}, {"image_id": "asc"}]
    if similar is None:
        return order
    script = {"source": _DISTANCE, "params": {"hash": hash_long(similar.perceptual_hash)}}
    return [{"_script": {"type": "number", "script": script, "order": "asc"}}, *order]


def _facet(field: str) -> Clause:
    order = [{"_count": "desc"}, {"_key": "asc"}]
    return {
        "terms": {
            "field": field,
            "size": FACET_VALUES,
            "shard_size": _SHARD_FACET_VALUES,
            "order": order,
        }
    }


def decode_search(
    query: SearchQuery, limit: int, facets: bool, answer: Mapping[str, Any]
) -> SearchResult:
    """Decode a search with the body of `search_body`."""
    hits = member(answer["hits"], "hits", list)
    if len(hits) > limit + 1:
        raise MalformedAnswer(f"{len(hits)} hits instead of {limit + 1}")
    return SearchResult(
        hits=tuple(_sort_key(member(hit, "sort", list), query.similar) for hit in hits[:limit]),
        total=member(answer["hits"]["total"], "value", int),
        more=len(hits) > limit,
        facets=tuple(_to_facet(field, answer["aggregations"]) for field in FACET_FIELDS)
        if facets
        else (),
    )


def _sort_key(sort: list[Any], similar: Similar | None) -> SortKey:
    distance, created_at, image_id = sort if similar else (0, *sort)
    if type(created_at) is not int or type(image_id) is not str:
        raise MalformedAnswer(f"the sort values {sort}")
    return SortKey(int(distance), created_at, image_id)


def _to_facet(field: str, aggregations: Mapping[str, Any]) -> Facet:
    buckets = member(aggregations[field], "buckets", list)
    return Facet(
        field,
        tuple(
            FacetValue(member(each, "key", str), member(each, "doc_count", int)) for each in buckets
        ),
    )
