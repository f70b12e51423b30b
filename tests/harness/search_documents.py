"""Documents of an index, queries, and their correct results."""

import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from core.search.document import SearchDocument
from core.search.query import (
    FACET_FIELDS,
    FACET_VALUES,
    Facet,
    FacetValue,
    Range,
    SearchQuery,
    SearchResult,
    SortKey,
    Term,
)
from core.search.similarity import distance
from core.search.tokenizer import tokenize

ACME = "acme"
RIVAL = "rival"

_NUMBERS = itertools.count(1)


def document(**fields: Any) -> SearchDocument:
    """Return a document with a new id and only these fields."""
    number = next(_NUMBERS)
    plain: dict[str, Any] = {
        "image_id": f"image-{number}",
        "request_id": f"request-{number}",
        "customer_id": ACME,
        "revision": 2,
        "created_at": number,
        "format": "PNG",
        "width": 1,
        "height": 1,
        "bytes": 1,
    }
    return SearchDocument(**(plain | fields))


def terms(text: str, *, prefix: bool = False) -> tuple[Term, ...]:
    """Return the terms of a text, as the server parses it. With `prefix` the last one is a prefix."""
    found = tokenize(text)
    last = len(found) - 1
    return tuple(Term(word, prefix=prefix and place == last) for place, word in enumerate(found))


def flipped(perceptual_hash: str, bits: Iterable[int]) -> str:
    """Return the hash with these bits flipped; 0 is the lowest bit of the last digit."""
    return f"{int(perceptual_hash, 16) ^ sum(1 << bit for bit in set(bits)):016x}"


def answer(
    documents: Iterable[SearchDocument],
    query: SearchQuery,
    *,
    limit: int,
    after: SortKey | None = None,
    facets: bool = False,
) -> SearchResult:
    """Return the correct result for an index with these documents, by examining each one."""
    hits = [each for each in documents if _meets(each, query)]
    places = sorted((_position(each, query) for each in hits), key=_order)
    behind = [place for place in places if after is None or _order(place) > _order(after)]
    return SearchResult(
        hits=tuple(behind[:limit]),
        total=len(hits),
        more=len(behind) > limit,
        facets=tuple(_facet(field, hits) for field in FACET_FIELDS) if facets else (),
    )


def _meets(each: SearchDocument, query: SearchQuery) -> bool:
    chosen = (
        (query.formats, each.format),
        (query.colors, each.color or ""),
        (query.cameras, each.camera),
        (query.origin_hosts, each.origin_host),
    )
    spans = (
        (query.width, each.width),
        (query.height, each.height),
        (query.bytes, each.bytes),
        (query.created, each.created_at),
    )
    return (
        each.customer_id == query.customer_id
        and all(_has(each.words, word) for word in query.words)
        and all(not wanted or (value and value in wanted) for wanted, value in chosen)
        and all(each.labels.get(key) == value for key, value in query.labels)
        and all(_within(span, value) for span, value in spans)
        and _resembles(each, query)
    )


def _has(present: Sequence[str], word: Term) -> bool:
    return any(one.startswith(word.text) if word.prefix else one == word.text for one in present)


def _within(span: Range, value: int) -> bool:
    return (span.first is None or span.first <= value) and (span.last is None or value <= span.last)


def _resembles(each: SearchDocument, query: SearchQuery) -> bool:
    if query.similar is None:
        return True
    return (
        each.perceptual_hash != ""
        and distance(each.perceptual_hash, query.similar.perceptual_hash) <= query.similar.distance
    )


def _position(each: SearchDocument, query: SearchQuery) -> SortKey:
    away = (
        distance(each.perceptual_hash, query.similar.perceptual_hash)
        if query.similar is not None
        else 0
    )
    return SortKey(away, each.created_at, each.image_id)


def _order(place: SortKey) -> tuple[int, int, bytes]:
    return place.distance, -place.created_at, place.image_id.encode()


def _facet(field: str, hits: Iterable[SearchDocument]) -> Facet:
    counts = Counter(str(value) for each in hits if (value := getattr(each, field)))
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0].encode()))
    return Facet(field, tuple(FacetValue(*item) for item in ranked[:FACET_VALUES]))
