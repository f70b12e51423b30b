"""Queries and search results. Pure.

Page tokens have a digest of a query's field names and values: renaming a field invalidates tokens in use.
"""

from dataclasses import dataclass

FACET_FIELDS = ("format", "color", "camera", "origin_host")
FACET_VALUES = 20
"""A facet has this many values, the most frequent ones."""


@dataclass(frozen=True, slots=True)
class Term:
    """A word of core.search.tokenizer, or the start of one if `prefix`."""

    text: str
    prefix: bool = False


@dataclass(frozen=True, slots=True)
class Range:
    """Both ends are included; None is unbounded."""

    first: int | None = None
    last: int | None = None

    @property
    def open(self) -> bool:
        """Whether the range contains all values."""
        return self.first is None and self.last is None


EVERYTHING = Range()


@dataclass(frozen=True, slots=True)
class Similar:
    """Hashes within `distance` bits of `perceptual_hash`, which has 16 hexadecimal digits."""

    perceptual_hash: str
    distance: int


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """Finds images of one customer that match all conditions. An empty condition matches every image.

    An image must match all of `words` and `labels`, and one each of `formats`, `colors`, `cameras` and `origin_hosts`.
    `width` and `height` are in pixels, `created` in milliseconds since the epoch.
    """

    customer_id: str
    words: tuple[Term, ...] = ()
    formats: tuple[str, ...] = ()
    colors: tuple[str, ...] = ()
    cameras: tuple[str, ...] = ()
    origin_hosts: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    width: Range = EVERYTHING
    height: Range = EVERYTHING
    bytes: Range = EVERYTHING
    created: Range = EVERYTHING
    similar: Similar | None = None


@dataclass(frozen=True, slots=True)
class SortKey:
    """The sort key of a hit: ascending distance, then descending time, then id.

    `distance` is 0 if the query has no `similar`. `created_at` is in milliseconds since the epoch.
    """

    distance: int
    created_at: int
    image_id: str


@dataclass(frozen=True, slots=True)
class FacetValue:
    value: str
    count: int


@dataclass(frozen=True, slots=True)
class Facet:
    """The number of hits with each value of `field`, by descending count and then by value."""

    field: str
    values: tuple[FacetValue, ...]


@dataclass(frozen=True, slots=True)
class SearchResult:
    """`hits` are one page; `total` and `facets` count all pages. `more` is whether another page follows."""

    hits: tuple[SortKey, ...]
    total: int
    more: bool
    facets: tuple[Facet, ...] = ()
