"""What is asked of an index, and what it answers. Pure."""

from dataclasses import dataclass

FACET_FIELDS = ("format", "color", "camera", "origin_host")
FACET_VALUES = 20
"""Values of a facet that are told, the most frequent ones."""


@dataclass(frozen=True, slots=True)
class Term:
    """One of core.search.tokenizer; with `prefix` it is the beginning of one."""

    text: str
    prefix: bool = False


@dataclass(frozen=True, slots=True)
class Range:
    """Both ends are included; None is no end."""

    first: int | None = None
    last: int | None = None

    @property
    def open(self) -> bool:
        """Whether everything is within."""
        return self.first is None and self.last is None


EVERYTHING = Range()


@dataclass(frozen=True, slots=True)
class Similar:
    """Hashes that differ from `perceptual_hash`, 16 hexadecimal digits, in at most `distance` bits."""

    perceptual_hash: str
    distance: int


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """Images of one customer that meet every condition. A condition that is empty is none.

    All of `words` and all of `labels`; one of `formats`, of `colors`, of `cameras` and of `origin_hosts`. `width` and
    `height` are in pixels, `created` in milliseconds since the epoch.
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
    """A hit, by what hits are sorted: the nearest first, then the newest, then by id.

    `distance` is 0 where the query asks for nothing similar. `created_at` is in milliseconds since the epoch.
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
    """How many of all hits have each value of `field`: the most frequent first, those of a count in their order."""

    field: str
    values: tuple[FacetValue, ...]


@dataclass(frozen=True, slots=True)
class SearchResult:
    """`hits` are one page; `total` and `facets` are of all pages. `more` tells whether hits follow."""

    hits: tuple[SortKey, ...]
    total: int
    more: bool
    facets: tuple[Facet, ...] = ()
