"""A query in SQL. Pure.

Names of tables and columns are put into the text, and are ours; values never are.
"""

# ruff: noqa: S608

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from core.search.query import FACET_FIELDS, FACET_VALUES, Range, SearchQuery, Similar, SortKey
from core.search.similarity import candidates
from core.search.sqlite.schema import BAND_COLUMNS, names, own
from core.search.tokenizer import tokenize

Value = str | int


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of SQL, and the values for its question marks."""

    sql: str
    values: tuple[Value, ...] = ()


class Selection:
    """The hits of a query in one generation."""

    def __init__(self, query: SearchQuery, generation: int) -> None:
        self._query = query
        self._documents, self._labels, self._words = names(generation)
        conditions = tuple(self._conditions())
        self._hits = _joined(
            f"WITH hits AS (SELECT image_id, created_at, {', '.join(FACET_FIELDS)}, ",
            (
                self._distance,
                Part(f" AS distance FROM {self._documents} WHERE "),
                *_between(" AND ", conditions),
                Part(") "),
            ),
        )

    def page(self, after: SortKey | None, limit: int) -> Part:
        """Distance, time and id of the hits behind `after`."""
        order = "created_at DESC, image_id"
        behind: list[Part] = []
        if after is not None:
            later = "(created_at < ? OR (created_at = ? AND image_id > ?))"
            place: tuple[Value, ...] = (after.created_at, after.created_at, after.image_id)
            if self._query.similar is None:
                # The first condition says nothing new, but an index can be entered by it.
                behind = [Part(f"WHERE created_at <= ? AND {later} ", (after.created_at, *place))]
            else:
                values = (after.distance, after.distance, *place)
                behind = [Part(f"WHERE (distance > ? OR (distance = ? AND {later})) ", values)]
        if self._query.similar is not None:
            order = f"distance, {order}"
        return _joined(
            "",
            (
                self._hits,
                Part("SELECT distance, created_at, image_id FROM hits "),
                *behind,
                Part(f"ORDER BY {order} LIMIT ?", (limit,)),
            ),
        )

    @property
    def total(self) -> Part:
        return _joined("", (self._hits, Part("SELECT count(*) FROM hits")))

    @property
    def facets(self) -> Part:
        """Field, value and count, in the order of facets."""
        counts = (
            f"SELECT * FROM (SELECT '{field}', {field}, count(*) FROM hits WHERE {field} IS NOT NULL "
            f"GROUP BY 2 ORDER BY 3 DESC, 2 LIMIT {FACET_VALUES})"
            for field in FACET_FIELDS
        )
        return _joined("", (self._hits, Part(" UNION ALL ".join(counts))))

    @property
    def _distance(self) -> Part:
        similar = self._query.similar
        return (
            Part("0") if similar is None else Part("distance(hash, ?)", (similar.perceptual_hash,))
        )

    def _conditions(self) -> Iterator[Part]:
        query = self._query
        # By words, labels and likeness few are found at once: the plus keeps SQLite from looking at the customer's
        # every image instead, of which it does not know how many there are.
        few = query.words or query.labels or query.similar
        yield Part("+customer_id = ?" if few else "customer_id = ?", (query.customer_id,))
        if query.words:
            yield self._with_words()
        for column, wanted in (
            ("format", query.formats),
            ("color", query.colors),
            ("camera", query.cameras),
            ("origin_host", query.origin_hosts),
        ):
            if wanted:
                yield Part(f"{column} IN ({_marks(wanted)})", tuple(wanted))
        for label in query.labels:
            chosen = f"SELECT document FROM {self._labels} WHERE customer_id = ? AND key = ? AND value = ?"
            yield Part(f"id IN ({chosen})", (query.customer_id, *label))
        for column, span in (
            ("width", query.width),
            ("height", query.height),
            ("bytes", query.bytes),
            ("created_at", query.created),
        ):
            yield from _within(column, span)
        if query.similar is not None:
            yield from self._like(query.similar)

    def _with_words(self) -> Part:
        """All words of the query. What is no word is in no document."""
        if any(tokenize(word.text) != (word.text,) for word in self._query.words):
            return Part("FALSE")
        # In quotes, as AND, OR and NOT are words like others.
        wanted = " AND ".join(
            f'"{own(self._query.customer_id, word.text)}"{"*" * word.prefix}'
            for word in self._query.words
        )
        return Part(
            f"id IN (SELECT rowid FROM {self._words} WHERE {self._words} MATCH ?)", (wanted,)
        )

    def _like(self, similar: Similar) -> Iterator[Part]:
        near = candidates(similar.perceptual_hash, similar.distance)
        lookups = " UNION ALL ".join(
            f"SELECT id FROM {self._documents} WHERE customer_id = ? "
            f"AND {column} IN ({', '.join(map(str, sorted(values)))})"
            for column, values in zip(BAND_COLUMNS, near, strict=True)
        )
        yield Part(f"id IN ({lookups})", (self._query.customer_id,) * len(BAND_COLUMNS))
        yield Part("distance(hash, ?) <= ?", (similar.perceptual_hash, similar.distance))


def _within(column: str, span: Range) -> Iterator[Part]:
    if span.first is not None:
        yield Part(f"{column} >= ?", (span.first,))
    if span.last is not None:
        yield Part(f"{column} <= ?", (span.last,))


def _marks(values: Sequence[Value]) -> str:
    return ", ".join("?" * len(values))


def _between(separator: str, parts: Sequence[Part]) -> Iterator[Part]:
    for number, part in enumerate(parts):
        if number:
            yield Part(separator)
        yield part


def _joined(start: str, parts: Iterable[Part]) -> Part:
    whole = (Part(start), *parts)
    return Part(
        "".join(part.sql for part in whole),
        tuple(value for part in whole for value in part.values),
    )
