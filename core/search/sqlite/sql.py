"""Translates a query into SQL. Pure. Only table and column names of ours are formatted into SQL; values are bound."""

# ruff: noqa: S608

from collections.abc import Iterator
from dataclasses import dataclass

from core.search.query import FACET_FIELDS, FACET_VALUES, Range, SearchQuery, Similar, SortKey
from core.search.similarity import candidates
from core.search.sqlite.schema import BAND_COLUMNS, customer_term, table_names
from core.search.tokenizer import tokenize

Value = str | int


@dataclass(frozen=True, slots=True)
class SqlFragment:
    sql: str
    values: tuple[Value, ...] = ()


class SearchSql:
    """The statements for the hits of a query in one generation."""

    def __init__(self, query: SearchQuery, generation: int) -> None:
        self._query = query
        self._documents, self._labels, self._words = table_names(generation)
        distance = SqlFragment("0")
        if query.similar is not None:
            distance = SqlFragment("distance(hash, ?)", (query.similar.perceptual_hash,))
        conditions = tuple(self._conditions())
        self._hits = (
            f"WITH hits AS (SELECT image_id, created_at, {', '.join(FACET_FIELDS)}, {distance.sql} AS distance "
            f"FROM {self._documents} WHERE {' AND '.join(each.sql for each in conditions)}) "
        )
        self._values = tuple(value for part in (distance, *conditions) for value in part.values)

    def page(self, after: SortKey | None, limit: int) -> SqlFragment:
        """Select distance, time and id of the hits after `after`."""
        similar = self._query.similar is not None
        start = SqlFragment("")
        if after is not None:
            later = "(created_at < ? OR (created_at = ? AND image_id > ?))"
            key: tuple[Value, ...] = (after.created_at, after.created_at, after.image_id)
            if similar:
                values = (after.distance, after.distance, *key)
                start = SqlFragment(f"WHERE (distance > ? OR (distance = ? AND {later}))", values)
            else:
                # The first condition is redundant, but an index can seek by it.
                start = SqlFragment(f"WHERE created_at <= ? AND {later}", (after.created_at, *key))
        order = f"{'distance, ' if similar else ''}created_at DESC, image_id"
        return self._of_hits(
            f"SELECT distance, created_at, image_id FROM hits {start.sql} ORDER BY {order} LIMIT ?",
            (*start.values, limit),
        )

    @property
    def total(self) -> SqlFragment:
        return self._of_hits("SELECT count(*) FROM hits")

    @property
    def facets(self) -> SqlFragment:
        """Select field, value and count, in the order of a Facet."""
        counts = (
            f"SELECT * FROM (SELECT '{field}', {field}, count(*) FROM hits WHERE {field} IS NOT NULL "
            f"GROUP BY 2 ORDER BY 3 DESC, 2 LIMIT {FACET_VALUES})"
            for field in FACET_FIELDS
        )
        return self._of_hits(" UNION ALL ".join(counts))

    def _of_hits(self, sql: str, values: tuple[Value, ...] = ()) -> SqlFragment:
        return SqlFragment(self._hits + sql, (*self._values, *values))

    def _conditions(self) -> Iterator[SqlFragment]:
        query = self._query
        # Words, labels and similarity select few rows. The plus stops SQLite from scanning all images of the customer
        # instead, since it does not know their number.
        selective = query.words or query.labels or query.similar
        yield SqlFragment(
            "+customer_id = ?" if selective else "customer_id = ?", (query.customer_id,)
        )
        if query.words:
            yield self._match_words()
        for column, wanted in (
            ("format", query.formats),
            ("color", query.colors),
            ("camera", query.cameras),
            ("origin_host", query.origin_hosts),
        ):
            if wanted:
                marks = ", ".join("?" * len(wanted))
                yield SqlFragment(f"{column} IN ({marks})", tuple(wanted))
        for label in query.labels:
            labelled = f"SELECT document FROM {self._labels} WHERE customer_id = ? AND key = ? AND value = ?"
            yield SqlFragment(f"id IN ({labelled})", (query.customer_id, *label))
        for column, span in (
            ("width", query.width),
            ("height", query.height),
            ("bytes", query.bytes),
            ("created_at", query.created),
        ):
            yield from _within(column, span)
        if query.similar is not None:
            yield from self._match_similar(query.similar)

    def _match_words(self) -> SqlFragment:
        """Match all words of the query. A text that is not a word matches nothing."""
        if any(tokenize(word.text) != (word.text,) for word in self._query.words):
            return SqlFragment("FALSE")
        # Quoted, because AND, OR and NOT are operators of FTS5.
        match = " AND ".join(
            f'"{customer_term(self._query.customer_id, word.text)}"{"*" * word.prefix}'
            for word in self._query.words
        )
        return SqlFragment(
            f"id IN (SELECT rowid FROM {self._words} WHERE {self._words} MATCH ?)", (match,)
        )

    def _match_similar(self, similar: Similar) -> Iterator[SqlFragment]:
        near = candidates(similar.perceptual_hash, similar.distance)
        lookups = " UNION ALL ".join(
            f"SELECT id FROM {self._documents} WHERE customer_id = ? "
            f"AND {column} IN ({', '.join(map(str, sorted(values)))})"
            for column, values in zip(BAND_COLUMNS, near, strict=True)
        )
        yield SqlFragment(f"id IN ({lookups})", (self._query.customer_id,) * len(BAND_COLUMNS))
        yield SqlFragment("distance(hash, ?) <= ?", (similar.perceptual_hash, similar.distance))


def _within(column: str, span: Range) -> Iterator[SqlFragment]:
    if span.first is not None:
        yield SqlFragment(f"{column} >= ?", (span.first,))
    if span.last is not None:
        yield SqlFragment(f"{column} <= ?", (span.last,))
