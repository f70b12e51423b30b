"""Reduce the points of a timeline, so that the plot of an hour stays small and readable."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from loadtest.run_report.record import LatencyLines, Line, RunRecord, Timeline

Pick = Callable[[Sequence[float]], float]


def thinned(record: RunRecord, points: int) -> RunRecord:
    """Return the record with at most `points` points on its timeline."""
    return replace(record, timeline=thin_timeline(record.timeline, points))


def thin_timeline(timeline: Timeline, points: int) -> Timeline:
    """Combine equally many samples per point: the mean of rates and CPU, and the maximum of everything else.

    A mean would hide the worst second of a latency, a depth or a memory.
    """
    size = -(-len(timeline.seconds) // points)
    if size <= 1:
        return timeline
    return Timeline(
        seconds=timeline.seconds[size - 1 :: size]
        + (timeline.seconds[-1:] if len(timeline.seconds) % size else ()),
        rates=_thin_all(timeline.rates, size, _mean),
        latencies={
            stage: LatencyLines(
                p50=_thin(lines.p50, size, max),
                p90=_thin(lines.p90, size, max),
                p99=_thin(lines.p99, size, max),
                max=_thin(lines.max, size, max),
            )
            for stage, lines in timeline.latencies.items()
        },
        depth=_thin_all(timeline.depth, size, max),
        memory=_thin_all(timeline.memory, size, max),
        cpu=_thin_all(timeline.cpu, size, _mean),
        errors=_thin_all(timeline.errors, size, _mean),
    )


def _thin_all(lines: Mapping[str, Line], size: int, pick: Pick) -> dict[str, Line]:
    return {name: _thin(line, size, pick) for name, line in lines.items()}


def _thin(line: Line, size: int, pick: Pick) -> Line:
    return tuple(_picked(line[at : at + size], pick) for at in range(0, len(line), size))


def _picked(values: Line, pick: Pick) -> float | None:
    measured = [value for value in values if value is not None]
    return round(pick(measured), 4) if measured else None


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
