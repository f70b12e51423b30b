"""The record of a run: measurement, thinning, JSON and rendering."""

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from subprocess import PIPE

import pytest

from loadtest import main
from loadtest.run_report import report
from loadtest.run_report.processes import ProcessSample, ProcessSampler
from loadtest.run_report.record import Heading, LatencyLines, RunRecord, Table, Timeline, Verdict
from loadtest.run_report.recorder import Depth, Recorder
from loadtest.run_report.schedule import Schedule
from loadtest.run_report.thinning import thin_timeline

HEADING = Heading("A run <of> tests", "abc123", "a machine", "2026-01-01T00:00:00+00:00", {"n": 1})
PASSED = Verdict(passed=True, sentences=("All is well.",))


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def recorded(seconds: int) -> RunRecord:
    """A run with events of every kind."""
    clock = Clock()
    recorder = Recorder(("acknowledge", "terminal"), clock)
    for second in range(seconds):
        clock.now += 1
        recorder.count("submitted", 10 + second % 3)
        recorder.latency("acknowledge", 0.010 + second / 1e5)
        if second % 7 == 0:
            recorder.error("RESOURCE_EXHAUSTED")
        sample = ProcessSample(cpu_seconds=second / 2, memory_mib=100 + second)
        recorder.sample(depth=Depth(second, 3), processes={"server": sample, "driver": sample})
    tables = (Table("CPU", ("tenth", "ms"), ((1, 2.5),), "a note"),)
    return recorder.finish(HEADING, verdict=PASSED, totals={"items/s": 10.5}, tables=tables)


@pytest.mark.parametrize(
    ("now", "due"), [(9.9, 0), (10.0, 1), (10.24, 1), (10.25, 2), (11.0, 5), (110.0, 401)]
)
def test_a_schedule_returns_the_number_of_due_items(now: float, due: int) -> None:
    assert Schedule(start=10.0, rate=4.0).due(now) == due


def test_latency_counts_from_the_intended_time() -> None:
    """If the service stalls once, the latency includes the delay of all items that were due meanwhile."""
    schedule, recorder = Schedule(start=0.0, rate=100.0), Recorder(("intended", "sent"))
    free = 0.0
    for number in range(1_000):
        sent = max(free, schedule.intended(number))
        free = sent + (2.0 if number == 100 else 0.001)
        recorder.latency("intended", schedule.latency(number, free))
        recorder.latency("sent", free - sent)
    recorder.sample()
    summary = recorder.latencies()
    assert summary["sent"].p99 < 5
    assert summary["intended"].p99 > 1_500
    assert summary["intended"].p50 < 5
    assert summary["intended"].max == pytest.approx(2_000, rel=0.02)


def test_rates_are_per_second_for_any_interval() -> None:
    clock = Clock()
    recorder = Recorder(("acknowledge",), clock)
    recorder.count("submitted", 10)
    clock.now += 2
    recorder.sample()
    recorder.count("terminal", 3)
    clock.now += 1
    recorder.sample()
    timeline = recorder.timeline()
    assert timeline.seconds == (2.0, 3.0)
    assert timeline.rates == {"submitted": (5.0, 0.0), "terminal": (0.0, 3.0)}
    assert recorder.counts == {"submitted": 10, "terminal": 3}


def test_events_after_the_last_sample_are_kept() -> None:
    """As when a run is interrupted."""
    clock = Clock()
    recorder = Recorder(("acknowledge",), clock)
    recorder.count("acknowledged", 3)
    recorder.latency("acknowledge", 0.1)
    clock.now += 0.5
    record = recorder.finish(HEADING, verdict=PASSED)
    assert record.totals == {"acknowledged": 3}
    assert record.latencies["acknowledge"].count == 1
    assert record.seconds == 0.5


def test_cpu_is_what_was_used_since_the_last_sample() -> None:
    """A process that starts late, or again, has no CPU time before."""
    clock = Clock()
    recorder = Recorder((), clock)
    for samples in (
        {"server": ProcessSample(5.0, 80.0)},
        {"server": ProcessSample(5.5, 81.0), "consumer 1": ProcessSample(9.0, 90.0)},
        {"server": ProcessSample(0.1, 60.0), "consumer 1": ProcessSample(9.2, 90.0)},
    ):
        clock.now += 1
        recorder.sample(processes=samples)
    timeline = recorder.timeline()
    assert timeline.cpu == {"server": (None, 0.5, 0.0), "consumer 1": (None, None, 0.2)}
    assert timeline.memory == {"server": (80.0, 81.0, 60.0), "consumer 1": (None, 90.0, 90.0)}


def test_a_second_without_latencies_is_a_gap() -> None:
    recorder = Recorder(("acknowledge",))
    recorder.latency("acknowledge", 0.050)
    recorder.sample()
    recorder.sample()
    lines = recorder.timeline().latencies["acknowledge"]
    assert lines.p50[0] == pytest.approx(50, rel=0.02)
    assert lines.p50[1] is None
    assert lines.max[1] is None


def test_thinning_keeps_peaks_and_totals() -> None:
    """A latency keeps its maximum; a rate becomes the mean of its seconds."""
    latency = (1.0, 2.0, 90.0, 3.0, None, None, 4.0)
    flat = (2.0,) * 7
    timeline = Timeline(
        seconds=(1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0),
        rates={"submitted": (10.0, 20.0, 30.0, 0.0, 0.0, 3.0, 8.0)},
        latencies={"acknowledge": LatencyLines(flat, flat, latency, latency)},
        depth={"visible": (1.0, 5.0, 2.0, 0.0, 0.0, 0.0, 9.0)},
    )
    thin = thin_timeline(timeline, 3)
    assert thin.seconds == (3.0, 6.0, 7.0)
    assert thin.rates == {"submitted": (20.0, 1.0, 8.0)}
    assert thin.latencies["acknowledge"].max == (90.0, 3.0, 4.0)
    assert thin.depth == {"visible": (5.0, 0.0, 9.0)}
    assert thin_timeline(timeline, 7) == timeline


@pytest.mark.parametrize("seconds", [1, 399, 400, 401, 3_600])
def test_thinning_never_leaves_more_points_than_requested(seconds: int) -> None:
    timeline = recorded(seconds).timeline
    thin = thin_timeline(timeline, 400)
    assert len(thin.seconds) <= 400
    assert {len(line) for line in thin.memory.values()} == {len(thin.seconds)}
    assert thin.seconds[-1] == timeline.seconds[-1]


def test_a_record_is_read_back_from_json(tmp_path: Path) -> None:
    record = recorded(20)
    record.to_json(tmp_path / "report.json")
    assert RunRecord.from_json(tmp_path / "report.json") == record


def test_the_page_of_an_hour_is_small_and_self_contained() -> None:
    page = report.page(recorded(3_600))
    assert len(page) < 500_000
    assert not re.search(r"<script|<link|<img|src=|url\((?!#)", page)
    assert "A run &lt;of&gt; tests" in page
    for words in ("Throughput", "Queue depth", "Memory", "Errors by reason", "RESOURCE_EXHAUSTED"):
        assert words in page


def test_the_page_of_a_failed_run_shows_the_verdict() -> None:
    page = report.page(
        replace(recorded(3), verdict=Verdict(passed=False, sentences=("1 lost: abc",)))
    )
    assert "Failed" in page
    assert "1 lost: abc" in page


def test_the_render_command_draws_html_and_png_beside_the_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recorded(30).to_json(tmp_path / "report.json")
    assert main.run(["render", str(tmp_path)]) == 0
    html, image = tmp_path / "report.html", tmp_path / "report.png"
    assert capsys.readouterr().out.split() == [str(html), str(image)]
    assert "<svg" in html.read_text(encoding="utf-8")
    assert image.read_bytes().startswith(b"\x89PNG")


def test_the_render_command_rejects_other_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "report.json").write_text("{}")
    assert main.run(["render", str(tmp_path)]) == 2
    assert f"{tmp_path / 'report.json'}: not a report" in capsys.readouterr().err


def test_processes_are_sampled_by_name_and_missing_ones_omitted() -> None:
    samples = ProcessSampler(lambda: {"this": os.getpid(), "ended": 2**30}).sample()
    assert list(samples) == ["this"]
    assert samples["this"].memory_mib > 1
    assert samples["this"].cpu_seconds > 0


def test_the_cpu_time_of_an_ended_child_still_counts() -> None:
    """Its parent waits for it, so the kernel keeps its time (getrusage(2), RUSAGE_CHILDREN)."""
    burns = "import time; end = time.process_time() + 0.4\nwhile time.process_time() < end: pass"
    parent = (
        "import subprocess, sys; child = subprocess.Popen([sys.executable, '-c', sys.argv[1]]); print(child.pid);"
        "sys.stdout.flush(); child.wait(); print('ended'); sys.stdout.flush(); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", parent, burns], stdin=PIPE, stdout=PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        sampler = ProcessSampler(lambda: {"server": process.pid})
        before = sampler.sample()["server"].cpu_seconds
        process.stdout.readline()
        after = sampler.sample()["server"].cpu_seconds
        process.communicate()
    assert before <= after
    assert after >= 0.3


def test_the_cpu_time_of_a_replaced_process_continues() -> None:
    burns = (
        "import time, sys; end = time.process_time() + 0.3\nwhile time.process_time() < end: pass\n"
        "print(); sys.stdout.flush(); sys.stdin.read()"
    )
    spent, pids = [], {"consumer 1": 0}
    sampler = ProcessSampler(lambda: pids)
    for _ in range(2):
        with subprocess.Popen(
            [sys.executable, "-c", burns], stdin=PIPE, stdout=PIPE, text=True
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            pids["consumer 1"] = process.pid
            spent.append(sampler.sample()["consumer 1"].cpu_seconds)
            process.communicate()
    assert spent[0] >= 0.2
    # Less than each has used, because the kernel counts in steps of 10 ms.
    assert spent[1] >= spent[0] + 0.2
