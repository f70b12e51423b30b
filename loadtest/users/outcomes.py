"""What became of a run's calls, second by second: small enough to be sent by workers, whole enough for the report."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from loadtest.run_report.processes import ProcessSample
from loadtest.run_report.record import Heading, RunRecord, Table, Verdict
from loadtest.run_report.recorder import Recorder

Payload = dict[str, list[Sequence[Any]]]
"""Plain values, as they travel from a worker to the master."""

_DIGITS = 3
"""Of a latency that are kept: true to half a percent, and few different ones a second."""

_BEHIND = 0.01
"""Part of a run's calls that may wait to be sent at its end. More of them never count in any latency."""


def rounded(ms: float) -> float:
    """To three significant digits; never below a microsecond."""
    least = max(ms, 0.001)
    return round(least, _DIGITS - 1 - math.floor(math.log10(least)))


class Outcomes:
    """Seconds are counted from the run's start; what a worker's clock puts before it is in the first."""

    def __init__(self) -> None:
        self._calls: Counter[tuple[int, str, str, float]] = Counter()
        self._processes: dict[tuple[int, str], ProcessSample] = {}
        self.unsent = 0
        """Arrivals of an open loop that were due at the end and taken by nobody."""

    def add(self, at: float, name: str, ms: float, reason: str = "") -> None:
        """A call of RPC `name` ended `at` seconds; `reason` says why it failed, empty where it did not."""
        self._calls[max(0, int(at)), name, reason, rounded(ms)] += 1

    def add_process(self, at: float, name: str, sample: ProcessSample) -> None:
        self._processes[max(0, int(at)), name] = sample

    def take(self) -> Payload:
        """All so far, which is then forgotten here."""
        taken: Payload = {
            "calls": [(*key, number) for key, number in self._calls.items()],
            "processes": [
                (*key, sample.cpu_seconds, sample.memory_mib)
                for key, sample in self._processes.items()
            ],
            "unsent": [(self.unsent,)],
        }
        self._calls.clear()
        self._processes.clear()
        self.unsent = 0
        return taken

    def merge(self, payload: Payload) -> None:
        """Add what another process took."""
        for second, name, reason, ms, number in payload["calls"]:
            self._calls[second, name, reason, ms] += number
        for second, name, cpu_seconds, memory_mib in payload["processes"]:
            self._processes[second, name] = ProcessSample(cpu_seconds, memory_mib)
        self.unsent += sum(number for (number,) in payload["unsent"])

    def record(self, heading: Heading, seconds: float) -> RunRecord:
        """The report of a run that took so long, told second by second as if it happened now."""
        now = 0.0
        names = sorted({name for _, name, _, _ in self._calls})
        recorder = Recorder(names, clock=lambda: now)
        calls, processes = self._by_second()
        for second in range(max(math.ceil(seconds), max(calls, default=0) + 1)):
            now = min(second + 1.0, seconds) if seconds > second else second + 1.0
            for name, reason, ms, number in calls.get(second, ()):
                _tell(recorder, name, reason, ms, number)
            recorder.sample(processes=processes.get(second))
        return recorder.finish(
            heading,
            verdict=self._verdict(),
            totals={"failed": self._failed()},
            tables=(self._table(names),),
            seconds=seconds,
        )

    def _by_second(
        self,
    ) -> tuple[dict[int, list[tuple[str, str, float, int]]], dict[int, dict[str, ProcessSample]]]:
        calls: dict[int, list[tuple[str, str, float, int]]] = {}
        for (second, name, reason, ms), number in self._calls.items():
            calls.setdefault(second, []).append((name, reason, ms, number))
        processes: dict[int, dict[str, ProcessSample]] = {}
        for (second, name), sample in self._processes.items():
            processes.setdefault(second, {})[name] = sample
        return calls, processes

    def _of(self, name: str | None = None) -> Iterator[tuple[str, int]]:
        """Reason and number of the calls of one RPC, or of all."""
        for (_, each, reason, _), number in self._calls.items():
            if name in {None, each}:
                yield reason, number

    def _failed(self, name: str | None = None) -> int:
        return sum(number for reason, number in self._of(name) if reason)

    def _answered(self, name: str | None = None) -> int:
        return sum(number for reason, number in self._of(name) if not reason)

    def _table(self, names: Sequence[str]) -> Table:
        rows = tuple((name, self._answered(name), self._failed(name)) for name in names)
        return Table(
            "Calls", ("RPC", "answered", "failed"), rows, "Latencies are those of answers."
        )

    def _verdict(self) -> Verdict:
        failed, answered = self._failed(), self._answered()
        sentences = [f"{answered:,} calls answered, {failed:,} failed"]
        if self.unsent:
            sentences.append(
                f"{self.unsent:,} calls were due at the end and not sent yet, because all users were busy"
            )
        kept_up = self.unsent <= (answered + failed) * _BEHIND
        if not kept_up:
            sentences.append("The rate was not kept: more --users, or a lower --rate")
        return Verdict(bool(answered) and not failed and kept_up, tuple(sentences))


def _tell(recorder: Recorder, name: str, reason: str, ms: float, number: int) -> None:
    if reason:
        recorder.error(reason, number)
        return
    recorder.count(name, number)
    for _ in range(number):
        recorder.latency(name, ms / 1e3)
