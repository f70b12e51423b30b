"""The kinds of questions that are asked, each about an image that exists, so that there is something to find. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from core.search.document import SearchDocument
from core.search.query import Position, Range, SearchQuery, Similar, Word
from core.search.tokenizer import words
from loadtest.bench.search.documents import document

DAY_MS = 86_400_000
PREFIX = 3
"""Letters of a word's beginning."""
NEAR, FAR = 6, 11
"""Bits: what SearchImages takes where nothing is said, and the most that it allows."""


@dataclass(frozen=True, slots=True)
class Question:
    query: SearchQuery
    after: Position | None = None
    facets: bool = False


def _words(about: SearchDocument) -> Question:
    texts = words(about.labels["album"])[:2]
    return Question(SearchQuery(about.customer_id, words=tuple(Word(each) for each in texts)))


def _prefix(about: SearchDocument) -> Question:
    beginning = words(about.labels["place"])[0][:PREFIX]
    return Question(SearchQuery(about.customer_id, words=(Word(beginning, prefix=True),)))


def _ranges(about: SearchDocument) -> Question:
    return Question(
        SearchQuery(
            about.customer_id,
            width=Range(about.width * 3 // 4, about.width * 5 // 4),
            bytes=Range(about.bytes // 2, about.bytes * 2),
            created=Range(about.created_at - 90 * DAY_MS, about.created_at),
        )
    )


def _color(about: SearchDocument) -> Question:
    colors = () if about.color is None else (about.color.value,)
    return Question(SearchQuery(about.customer_id, colors=colors, formats=(about.format,)))


def _labels(about: SearchDocument) -> Question:
    labels = (("job", about.labels["job"]), ("place", about.labels["place"]))
    return Question(SearchQuery(about.customer_id, labels=labels))


def _similar(about: SearchDocument, distance: int = NEAR) -> Question:
    return Question(
        SearchQuery(about.customer_id, similar=Similar(about.perceptual_hash, distance))
    )


def _very_similar(about: SearchDocument) -> Question:
    return _similar(about, FAR)


def _facets(about: SearchDocument) -> Question:
    return Question(SearchQuery(about.customer_id), facets=True)


def _newest(about: SearchDocument) -> Question:
    return Question(SearchQuery(about.customer_id))


def _deep(about: SearchDocument) -> Question:
    return Question(
        SearchQuery(about.customer_id), after=Position(0, about.created_at, about.image_id)
    )


WORDS, NEAR_HASH, NEWEST, FACETS = (
    "two words",
    f"similar, {NEAR} bits",
    "all, newest first",
    "all, with facets",
)
_KINDS: dict[str, Callable[[SearchDocument], Question]] = {
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


def questions(
    kind: str, total: int, count: int, *, seed: int, customer: str | None = None
) -> list[Question]:
    """`count` of them, about images drawn evenly: a customer is asked for as often as it has images.

    With `customer` they are about that one's images alone.
    """
    draw = Random(f"{kind} {seed}")  # noqa: S311  no secret
    asked: list[Question] = []
    while len(asked) < count:
        about = document(draw.randrange(total), total)
        if customer in {None, about.customer_id}:
            asked.append(_KINDS[kind](about))
    return asked
