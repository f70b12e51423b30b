"""The calls of a run by second, in a compact form that workers send to the master."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from loadtest.run_report.processes import ProcessSample
from loadtest.run_report.record import Heading, RunRecord, Table, Verdict
from loadtest.run_report.recorder import Recorder

Payload = dict[str, list[Sequence[Any]]]
"""Plain values for the message from a worker to the master."""

_DIGITS = 3
"""Significant digits of latencies: an error of at most 0.5%, and few distinct values per second."""

_MAX_UNSENT = 0.01
"""Share of calls that may be unsent at the end of a run that kept its rate. Unsent calls are in no latency."""


def rounded(ms: float) -> float:
    """Round to three significant digits, at least to one microsecond."""
    least = max(ms, 0.001)
    return round(least, _DIGITS - 1 - math.floor(math.log10(least)))


class Outcomes:
    """Counts seconds from the start of the run. Earlier times of a worker with another clock count as the first."""

    def __init__(self) -> None:
        self._calls: Counter[tuple[int, str, str, float]] = Counter()
        self._processes: dict[tuple[int, str], ProcessSample] = {}
        self.unsent = 0
        """Calls of an open loop that were due at the end and not sent."""

    def add(self, at: float, name: str, ms: float, reason: str = "") -> None:
        """Add a call of RPC `name` that ended after `at` seconds. `reason` is empty on success."""
        self._calls[max(0, int(at)), name, reason, rounded(ms)] += 1

    def add_process(self, at: float, name: str, sample: ProcessSample) -> None:
        self._processes[max(0, int(at)), name] = sample

    def take(self) -> Payload:
        """Return all collected values and reset."""
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
        """Add the values that another process took."""
        for second, name, reason, ms, number in payload["calls"]:
            self._calls[second, name, reason, ms] += number
        for second, name, cpu_seconds, memory_mib in payload["processes"]:
            self._processes[second, name] = ProcessSample(cpu_seconds, memory_mib)
        self.unsent += sum(number for (number,) in payload["unsent"])

    def record(self, heading: Heading, seconds: float) -> RunRecord:
        """Build the record of a run that took `seconds`, by replaying its seconds into a recorder."""
        now = 0.0
        names = sorted({name for _, name, _, _ in self._calls})
        recorder = Recorder(names, clock=lambda: now)
        calls, processes = self._by_second()
        for second in range(max(math.ceil(seconds), max(calls, default=0) + 1)):
            now = min(second + 1.0, seconds) if seconds > second else second + 1.0
            for name, reason, ms, number in calls.get(second, ()):
                _replay(recorder, name, reason, ms, number)
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

    def _reasons(self, name: str | None = None) -> Iterator[tuple[str, int]]:
        """Yield reason and number of the calls of one RPC, or of all."""
        for (_, each, reason, _), number in self._calls.items():
            if name in {None, each}:
                yield reason, number

    def _failed(self, name: str | None = None) -> int:
        return sum(number for reason, number in self._reasons(name) if reason)

    def _succeeded(self, name: str | None = None) -> int:
        return sum(number for reason, number in self._reasons(name) if not reason)

    def _table(self, names: Sequence[str]) -> Table:
        rows = tuple((name, self._succeeded(name), self._failed(name)) for name in names)
        return Table(
            "Calls", ("RPC", "succeeded", "failed"), rows, "Latencies exclude failed calls."
        )

    def _verdict(self) -> Verdict:
        failed, succeeded = self._failed(), self._succeeded()
        sentences = [f"{succeeded:,} calls succeeded, {failed:,} failed"]
        if self.unsent:
            sentences.append(
                f"{self.unsent:,} calls were due at the end and not sent, because all users were busy"
            )
        kept_up = self.unsent <= (succeeded + failed) * _MAX_UNSENT
        if not kept_up:
            sentences.append("The rate was not kept: more --users, or a lower --rate")
        return Verdict(bool(succeeded) and not failed and kept_up, tuple(sentences))


def _replay(recorder: Recorder, name: str, reason: str, ms: float, number: int) -> None:
    if reason:
        recorder.error(reason, number)
        return
    recorder.count(name, number)
    for _ in range(number):
        recorder.latency(name, ms / 1e3)
