"""Latencies of one stage, by second and for the whole run."""

from dataclasses import dataclass

from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]

from loadtest.run_report.record import LatencyLines, LatencySummary

_MAX_US = 3_600_000_000
"""One hour. Longer latencies count as one hour."""
_DIGITS = 2
"""Significant digits of the histogram: an error of at most one percent."""


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Milliseconds."""

    p50: float
    p90: float
    p99: float
    max: float


class StageLatencies:
    def __init__(self) -> None:
        self._second = HdrHistogram(1, _MAX_US, _DIGITS)
        self._whole = HdrHistogram(1, _MAX_US, _DIGITS)
        self._seconds: list[Percentiles | None] = []
        self._sum = 0.0

    def add(self, seconds: float) -> None:
        self._second.record_value(min(_MAX_US, max(1, round(seconds * 1e6))))
        self._sum += seconds

    def close_second(self) -> None:
        """End the current second."""
        if not self._second.get_total_count():
            self._seconds.append(None)
            return
        values = self._second.get_percentile_to_value_dict([50, 90, 99])
        largest = self._second.get_max_value()
        self._seconds.append(
            Percentiles(_ms(values[50]), _ms(values[90]), _ms(values[99]), _ms(largest))
        )
        self._whole.add(self._second)
        self._second.reset()

    def lines(self) -> LatencyLines:
        return LatencyLines(
            p50=tuple(None if one is None else one.p50 for one in self._seconds),
            p90=tuple(None if one is None else one.p90 for one in self._seconds),
            p99=tuple(None if one is None else one.p99 for one in self._seconds),
            max=tuple(None if one is None else one.max for one in self._seconds),
        )

    def summary(self) -> LatencySummary | None:
        """Summarise all closed seconds; None without a value."""
        count = self._whole.get_total_count()
        if not count:
            return None
        values = self._whole.get_percentile_to_value_dict([50, 90, 99, 99.9])
        return LatencySummary(
            count=count,
            mean=round(self._sum / count * 1e3, 3),
            p50=_ms(values[50]),
            p90=_ms(values[90]),
            p99=_ms(values[99]),
            p999=_ms(values[99.9]),
            max=_ms(self._whole.get_max_value()),
        )


def _ms(microseconds: float) -> float:
    return round(microseconds / 1e3, 3)
