"""The query behind a list: the same on all of its pages. Pure."""

from dataclasses import dataclass
from enum import StrEnum

from core.dynamodb.index_query import BY_CUSTOMER, BY_FAILURE, Index, TimeRange
from core.model.request import ImageRequest, State
from server.paging import query_digest

LATEST = 2**48 - 1
"""The latest time that a list can contain, in milliseconds since the epoch. It fits into 6 bytes of a page token."""
ALL_TIMES = TimeRange(0, LATEST)

_MAX_CLOCK_SKEW_MS = 3_600_000
"""A consumer's clock may be behind a server's clock, so a request may fail before its creation time."""


class Kind(StrEnum):
    REQUESTS = "requests"
    IMAGES = "images"


@dataclass(frozen=True, slots=True)
class ListQuery:
    """`state` is None for all states. `created` is the range of creation times."""

    kind: Kind
    customer_id: str
    state: State | None = None
    created: TimeRange = ALL_TIMES

    @property
    def index(self) -> Index:
        return BY_FAILURE if self.state is State.FAILED else BY_CUSTOMER

    @property
    def key_times(self) -> TimeRange:
        """The range of times in the index's keys. The keys of FAILED requests have the time of the failure."""
        if self.state is not State.FAILED:
            return self.created
        return TimeRange(max(0, self.created.first - _MAX_CLOCK_SKEW_MS), LATEST)

    @property
    def filters_rows(self) -> bool:
        """Whether many keys of the index may belong to requests that are not listed."""
        return self.state in {State.PENDING, State.COMPLETED}

    def matches(self, request: ImageRequest) -> bool:
        """Check the row, because the index is eventually consistent and may not have the creation time."""
        created_in_range = self.created.first <= request.created_at <= self.created.last
        return created_in_range and self.state in {None, request.state}

    def digest(self) -> bytes:
        return query_digest([self.kind, self.customer_id, self.state or "", *self.created])
