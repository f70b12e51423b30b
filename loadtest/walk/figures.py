"""Counts calls, listed entries and call durations by kind of list."""

from collections import Counter, defaultdict

from loadtest.run_report.record import Cell, Table
from loadtest.run_report.recorder import Recorder
from loadtest.walk.lists import LISTS, SEARCHES, ListQuery
from loadtest.walk.pages import Walk

LISTED = "listed"


def stage(kind: str, page_size: int) -> str:
    """Return the name under which the report shows the latency of a call."""
    return f"{kind}, pages of {page_size:,}"


STAGES = tuple(stage(kind, size) for kind, size in LISTS)
_SEARCH_STAGES = frozenset(stage(kind, size) for kind, size in LISTS if kind in SEARCHES)


class Figures:
    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._walks: Counter[str] = Counter()
        self._calls: Counter[str] = Counter()
        self._listed: Counter[str] = Counter()
        self._seconds: defaultdict[str, float] = defaultdict(float)

    @property
    def walks(self) -> int:
        return self._walks.total()

    @property
    def calls(self) -> int:
        return self._calls.total()

    @property
    def list_calls(self) -> int:
        """All calls except searches, which query no DynamoDB index."""
        return self.calls - sum(self._calls[name] for name in _SEARCH_STAGES)

    @property
    def listed(self) -> int:
        return self._listed.total()

    def add(self, walk: Walk) -> None:
        name = _name(walk.query)
        self._walks[name] += 1
        self._calls[name] += walk.calls
        self._listed[name] += len(walk.entries)
        self._recorder.count(LISTED, len(walk.entries))
        for seconds in walk.seconds:
            self._seconds[name] += seconds
            self._recorder.latency(name, seconds)

    def table(self) -> Table:
        columns = ("list", "walks", "calls", "listed", "listed/call", "ms/call", "s/walk")
        return Table(
            "Walks by list",
            columns,
            tuple(self._row(name) for name in STAGES if self._walks[name]),
            "A call for PENDING or COMPLETED requests, or for images, reads up to 1,000 keys and lists the matches.",
        )

    def _row(self, name: str) -> tuple[Cell, ...]:
        walks, calls, listed = self._walks[name], self._calls[name], self._listed[name]
        seconds = self._seconds[name]
        per_call, per_walk = 1e3 * seconds / max(1, calls), seconds / walks
        return (
            *(name, walks, calls, listed),
            *(round(listed / max(1, calls), 1), round(per_call, 2), round(per_walk, 3)),
        )


def _name(query: ListQuery) -> str:
    return stage(query.kind, query.page_size)
