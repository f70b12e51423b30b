"""The measurements of all processes become one report."""

import json

import pytest

from loadtest.run_report.processes import ProcessSample
from loadtest.run_report.record import Heading, RunRecord
from loadtest.users.outcomes import Outcomes, rounded

HEADING = Heading("a run", "0" * 12, "a machine", "2026-01-01T00:00:00+00:00")


def record(outcomes: Outcomes, seconds: float = 3.0) -> RunRecord:
    return outcomes.record(HEADING, seconds)


@pytest.mark.parametrize(
    ("ms", "kept"),
    [(0.0, 0.001), (0.123456, 0.123), (9.994, 9.99), (12.34, 12.3), (12_345.0, 12_300.0)],
)
def test_latencies_keep_three_digits(ms: float, kept: float) -> None:
    assert rounded(ms) == pytest.approx(kept)


def test_calls_count_in_the_second_in_which_they_ended() -> None:
    outcomes = Outcomes()
    for at in (-0.2, 0.4, 2.1):
        outcomes.add(at, "GetStatus", 10.0)
    outcomes.add(1.5, "GetStatus", 10.0, "OVERLOADED")
    report = record(outcomes)
    assert report.timeline.rates["GetStatus"] == (2, 0, 1)
    assert report.timeline.errors["OVERLOADED"] == (0, 1, 0)
    assert report.errors == {"OVERLOADED": 1}
    assert report.totals == {"GetStatus": 3, "failed": 1}


def test_latencies_exclude_failed_calls() -> None:
    outcomes = Outcomes()
    outcomes.add(0, "GetStatus", 20.0)
    outcomes.add(0, "GetStatus", 30_000.0, "DEADLINE_EXCEEDED")
    latency = record(outcomes).latencies["GetStatus"]
    assert latency.count == 1
    assert latency.max == pytest.approx(20, rel=0.01)


def test_a_short_last_second_keeps_its_rate() -> None:
    outcomes = Outcomes()
    outcomes.add(1.2, "GetStatus", 10.0)
    assert record(outcomes, 1.5).timeline.rates["GetStatus"] == (0, 2)


def test_the_outcomes_of_workers_are_merged() -> None:
    master = Outcomes()
    for worker in range(2):
        outcomes = Outcomes()
        outcomes.add(0, "SubmitImage", 5.0)
        outcomes.add(1, "SubmitImage", 5.0, "UNAVAILABLE")
        outcomes.add_process(1, f"worker {worker}", ProcessSample(1.0, 50.0))
        outcomes.unsent = 3
        master.merge(json.loads(json.dumps(outcomes.take())))
        assert outcomes.take() == {"calls": [], "processes": [], "unsent": [(0,)]}
    report = record(master)
    assert report.totals["SubmitImage"] == 2
    assert report.errors == {"UNAVAILABLE": 2}
    assert set(report.timeline.memory) == {"worker 0", "worker 1"}
    assert master.unsent == 6


@pytest.mark.parametrize(
    ("succeeded", "failed", "unsent", "passed"),
    [
        (100, 0, 0, True),
        (100, 0, 1, True),
        (100, 0, 2, False),
        (100, 1, 0, False),
        (0, 0, 0, False),
    ],
)
def test_a_run_passes_if_all_calls_succeeded_at_the_given_rate(
    succeeded: int, failed: int, unsent: int, passed: bool
) -> None:
    outcomes = Outcomes()
    for _ in range(succeeded):
        outcomes.add(0, "GetStatus", 1.0)
    for _ in range(failed):
        outcomes.add(0, "GetStatus", 1.0, "INTERNAL")
    outcomes.unsent = unsent
    assert record(outcomes).verdict.passed is passed
