"""What a walk through a list asks for: the same on all of its pages. Pure."""

import hashlib
from dataclasses import dataclass
from enum import StrEnum

import orjson

from core.dynamodb.indexes import BY_CUSTOMER, BY_FAILURE, Index, TimeRange
from core.model.request import ImageRequest, State

LATEST = 2**48 - 1
"""The latest time that is listed, in milliseconds since the epoch; 6 bytes hold it."""
ALL_TIMES = TimeRange(0, LATEST)

_MAX_CLOCK_SKEW_MS = 3_600_000
"""A consumer's clock may be behind a server's, so that a request fails before it was created."""


class Kind(StrEnum):
    REQUESTS = "requests"
    IMAGES = "images"


@dataclass(frozen=True, slots=True)
class ListQuery:
    """`state` is None for all; `created` are the times of creation."""

    kind: Kind
    customer_id: str
    state: State | None = None
    created: TimeRange = ALL_TIMES

    @property
    def index(self) -> Index:
        return BY_FAILURE if self.state is State.FAILED else BY_CUSTOMER

    @property
    def span(self) -> TimeRange:
        """The times of the index's keys. Failures are indexed by the time at which they failed."""
        if self.state is not State.FAILED:
            return self.created
        return TimeRange(max(0, self.created.first - _MAX_CLOCK_SKEW_MS), LATEST)

    @property
    def picks(self) -> bool:
        """Whether much of what the index tells of may not be listed."""
        return self.state in {State.PENDING, State.COMPLETED}

    def takes(self, request: ImageRequest) -> bool:
        """Whether a request of the index, which may be a moment behind, is really asked for."""
        of_that_time = self.created.first <= request.created_at <= self.created.last
        return of_that_time and self.state in {None, request.state}

    def digest(self) -> bytes:
        """16 bytes by which a page token knows its query."""
        parts = [self.kind, self.customer_id, self.state or "", *self.created]
        return hashlib.blake2b(orjson.dumps(parts), digest_size=16).digest()
