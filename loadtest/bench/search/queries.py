"""The kinds of search queries. Each is built from an existing document, so that it finds something."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from core.search.document import SearchDocument
from core.search.query import Range, SearchQuery, Similar, SortKey, Term
from core.search.tokenizer import tokenize
from imageservice.v1 import image_service_pb2 as pb
from loadtest.bench.search.corpus import document

DAY_MS = 86_400_000
PREFIX = 3
"""Length of a prefix in letters."""
NEAR, FAR = 6, 11
"""Hamming distances in bits: the default of SearchImages, and its maximum."""


@dataclass(frozen=True, slots=True)
class SearchCase:
    query: SearchQuery
    after: SortKey | None = None
    facets: bool = False


def _words(about: SearchDocument) -> SearchCase:
    texts = tokenize(about.labels["album"])[:2]
    return SearchCase(SearchQuery(about.customer_id, words=tuple(Term(each) for each in texts)))


def _prefix(about: SearchDocument) -> SearchCase:
    beginning = tokenize(about.labels["place"])[0][:PREFIX]
    return SearchCase(SearchQuery(about.customer_id, words=(Term(beginning, prefix=True),)))


def _ranges(about: SearchDocument) -> SearchCase:
    return SearchCase(
        SearchQuery(
            about.customer_id,
            width=Range(about.width * 3 // 4, about.width * 5 // 4),
            bytes=Range(about.bytes // 2, about.bytes * 2),
            created=Range(about.created_at - 90 * DAY_MS, about.created_at),
        )
    )


def _color(about: SearchDocument) -> SearchCase:
    colors = () if about.color is None else (about.color.value,)
    return SearchCase(SearchQuery(about.customer_id, colors=colors, formats=(about.format,)))


def _labels(about: SearchDocument) -> SearchCase:
    labels = (("job", about.labels["job"]), ("place", about.labels["place"]))
    return SearchCase(SearchQuery(about.customer_id, labels=labels))


def _similar(about: SearchDocument, distance: int = NEAR) -> SearchCase:
    return SearchCase(
        SearchQuery(about.customer_id, similar=Similar(about.perceptual_hash, distance))
    )


def _very_similar(about: SearchDocument) -> SearchCase:
    return _similar(about, FAR)


def _facets(about: SearchDocument) -> SearchCase:
    return SearchCase(SearchQuery(about.customer_id), facets=True)


def _newest(about: SearchDocument) -> SearchCase:
    return SearchCase(SearchQuery(about.customer_id))


def _deep(about: SearchDocument) -> SearchCase:
    return SearchCase(
        SearchQuery(about.customer_id), after=SortKey(0, about.created_at, about.image_id)
    )


WORDS, NEAR_HASH, NEWEST, FACETS = (
    "two words",
    f"similar, {NEAR} bits",
    "all, newest first",
    "all, with facets",
)
_KINDS: dict[str, Callable[[SearchDocument], SearchCase]] = {
    WORDS: _words,
    "a word's first three letters": _prefix,
    "ranges of width, bytes and time": _ranges,
    "colour and format": _color,
    "two labels": _labels,
    NEAR_HASH: _similar,
    f"similar, {FAR} bits": _very_similar,
    NEWEST: _newest,
    "all, a page in the middle": _deep,
    FACETS: _facets,
}
KINDS = tuple(_KINDS)
BY_CALL = (WORDS, NEAR_HASH, NEWEST, FACETS)
"""Kinds that are also sent as SearchImages calls."""


def search_cases(
    kind: str, total: int, count: int, *, seed: int, customer: str | None = None
) -> list[SearchCase]:
    """Return `count` queries for uniformly drawn documents, so that large customers are queried most.

    `customer` restricts the documents to that customer.
    """
    draw = Random(f"{kind} {seed}")  # noqa: S311  no secret
    drawn: list[SearchCase] = []
    while len(drawn) < count:
        about = document(draw.randrange(total), total)
        if customer in {None, about.customer_id}:
            drawn.append(_KINDS[kind](about))
    return drawn


def to_request(case: SearchCase, page_size: int) -> pb.SearchImagesRequest:
    """Convert a query to the RPC request."""
    request = pb.SearchImagesRequest(
        customer_id=case.query.customer_id,
        text=" ".join(word.text for word in case.query.words),
        facets=case.facets,
        page_size=page_size,
    )
    if case.query.similar is not None:
        request.similar_to = case.query.similar.perceptual_hash
        request.max_distance = case.query.similar.distance
    return request
