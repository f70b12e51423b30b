"""What walks cost: calls, what they listed, and how long the calls took."""

from collections import Counter, defaultdict

from loadtest.run_report.record import Cell, Table
from loadtest.run_report.recorder import Recorder
from loadtest.walk.lists import LISTS, SEARCHES, Question
from loadtest.walk.pages import Walked

LISTED = "listed"


def stage(kind: str, page_size: int) -> str:
    """By what name the report shows the latency of one call."""
    return f"{kind}, pages of {page_size:,}"


STAGES = tuple(stage(kind, size) for kind, size in LISTS)
_OF_SEARCHES = frozenset(stage(kind, size) for kind, size in LISTS if kind in SEARCHES)


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
    def calls_for_lists(self) -> int:
        """Less those for searches, which query no index of DynamoDB."""
        return self.calls - sum(self._calls[name] for name in _OF_SEARCHES)

    @property
    def listed(self) -> int:
        return self._listed.total()

    def add(self, walked: Walked) -> None:
        name = _name(walked.question)
        self._walks[name] += 1
        self._calls[name] += walked.calls
        self._listed[name] += len(walked.entries)
        self._recorder.count(LISTED, len(walked.entries))
        for seconds in walked.seconds:
            self._seconds[name] += seconds
            self._recorder.latency(name, seconds)

    def table(self) -> Table:
        columns = ("list", "walks", "calls", "listed", "listed a call", "ms a call", "s a walk")
        return Table(
            "Walks by list",
            columns,
            tuple(self._row(name) for name in STAGES if self._walks[name]),
            "A call for PENDING or COMPLETED requests, or images, looks at up to 1,000 keys, and lists what is there.",
        )

    def _row(self, name: str) -> tuple[Cell, ...]:
        walks, calls, listed = self._walks[name], self._calls[name], self._listed[name]
        seconds = self._seconds[name]
        each_call, each_walk = 1e3 * seconds / max(1, calls), seconds / walks
        return (
            *(name, walks, calls, listed),
            *(round(listed / max(1, calls), 1), round(each_call, 2), round(each_walk, 3)),
        )


def _name(question: Question) -> str:
    return stage(question.kind, question.page_size)
