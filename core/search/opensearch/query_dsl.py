"""A query in OpenSearch's language, and what it answers. Pure."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from core.search.opensearch.schema import band, label, own, signed
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
_COUNTED = 1_000
"""Values of a facet that each shard, or part of one, counts: where there are several, the totals are exact as long as
there are fewer values than that."""

Clause = dict[str, Any]


class MalformedAnswer(Exception):
    """Whoever answered is no OpenSearch."""


def body(query: SearchQuery, limit: int, after: SortKey | None, *, facets: bool) -> Clause:
    asked: Clause = {
        "query": {"bool": {"filter": list(_filters(query))}},
        "sort": _sort(query.similar),
        # One more, to know whether it is there.
        "size": limit + 1,
        "track_total_hits": True,
        "_source": False,
    }
    if after is not None:
        place = [after.created_at, after.image_id]
        asked["search_after"] = [after.distance, *place] if query.similar else place
    if facets:
        asked["aggs"] = {field: _facet(field) for field in FACET_FIELDS}
    return asked


def preference(query: SearchQuery) -> str:
    """The same for all pages, which then come from one copy of the index: another is refreshed at another moment."""
    return hashlib.blake2b(repr(query).encode(), digest_size=_DIGEST_BYTES).hexdigest()


def _filters(query: SearchQuery) -> Iterator[Clause]:
    yield {"term": {"customer_id": query.customer_id}}
    yield from (_word(query.customer_id, word) for word in query.words)
    yield from ({"term": {"labels": label(*each)}} for each in query.labels)
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
    return {"prefix" if word.prefix else "term": {"words": own(customer_id, word.text)}}


def _range(range_: Range) -> Clause:
    ends = {"gte": range_.first, "lte": range_.last}
    return {name: end for name, end in ends.items() if end is not None}


def _similar(similar: Similar) -> Iterator[Clause]:
    near = candidates(similar.perceptual_hash, similar.distance)
    yield {
        "terms": {
            "bands": [band(number, value) for number, values in enumerate(near) for value in values]
        }
    }
    # Asked last, of those that the others left: a script costs more than all of them.
    parameters = {"hash": signed(similar.perceptual_hash), "distance": similar.distance}
    yield {"script": {"script": {"source": _WITHIN, "params": parameters}}}


def _sort(similar: Similar | None) -> list[Clause]:
    order: list[Clause] = [{"created_at": "desc"}, {"image_id": "asc"}]
    if similar is None:
        return order
    script = {"source": _DISTANCE, "params": {"hash": signed(similar.perceptual_hash)}}
    return [{"_script": {"type": "number", "script": script, "order": "asc"}}, *order]


def _facet(field: str) -> Clause:
    order = [{"_count": "desc"}, {"_key": "asc"}]
    return {"terms": {"field": field, "size": FACET_VALUES, "shard_size": _COUNTED, "order": order}}


def found(
    answer: Mapping[str, Any], query: SearchQuery, limit: int, *, facets: bool
) -> SearchResult:
    """Raises MalformedAnswer."""
    try:
        hits = answer["hits"]["hits"]
        return SearchResult(
            hits=tuple(_position(hit["sort"], query.similar) for hit in hits[:limit]),
            total=answer["hits"]["total"]["value"],
            more=len(hits) > limit,
            facets=tuple(_values(field, answer["aggregations"]) for field in FACET_FIELDS)
            if facets
            else (),
        )
    except (LookupError, TypeError, ValueError) as error:
        raise MalformedAnswer(f"{type(error).__name__}: {error}") from error


def _position(sort: list[Any], similar: Similar | None) -> SortKey:
    distance, created_at, image_id = sort if similar else (0, *sort)
    return SortKey(int(distance), created_at, image_id)


def _values(field: str, aggregations: Mapping[str, Any]) -> Facet:
    buckets = aggregations[field]["buckets"]
    return Facet(field, tuple(FacetValue(each["key"], each["doc_count"]) for each in buckets))
