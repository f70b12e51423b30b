"""The cost of a run by tenths, its stability, and its AWS calls."""

import pytest

from loadtest.million.aws import calls_table
from loadtest.million.deciles import Deciles, Mark, stability
from loadtest.run_report.processes import ProcessSample


def mark(ended: int, seconds: float, cpu: float) -> Mark:
    server = ProcessSample(cpu, 80.0)
    return Mark(ended, seconds, {"server": server, "driver": ProcessSample(cpu * 5, 50.0)})


def test_a_run_is_divided_by_ended_items() -> None:
    """The first sample in a new tenth counts. The driver is not a process under test."""
    deciles = Deciles(total=1_000)
    for ended in range(0, 1_001, 40):
        deciles.add(mark(ended, ended / 10, cpu=ended / 500))
    assert [one.items for one in deciles.marks] == [
        *(0, 120, 200, 320, 400, 520, 600, 720, 800, 920, 1_000)
    ]
    rows = deciles.table().rows
    assert {row[2] for row in rows} == {2.0}
    assert deciles.cpu_growth() == pytest.approx(1.0)


def test_growth_compares_the_last_tenth_with_the_first() -> None:
    deciles = Deciles(total=10)
    for ended in range(11):
        deciles.add(mark(ended, ended, cpu=ended + (0.5 if ended == 10 else 0)))
    assert deciles.cpu_growth() == pytest.approx(1.5)


def test_a_run_without_ten_marks_has_no_growth() -> None:
    deciles = Deciles(total=10)
    deciles.add(mark(0, 0, 0))
    deciles.add(mark(10, 1, 1))
    assert deciles.cpu_growth() is None


def long_run(*, cpu: float = 0.0, memory: float = 100.0) -> Deciles:
    """A run of 100,000 items whose last tenth takes `cpu` more seconds and ends with `memory` MiB."""
    deciles = Deciles(total=100_000)
    for tenth in range(11):
        spent = tenth + (cpu if tenth == 10 else 0)
        sample = ProcessSample(spent, memory if tenth == 10 else 100.0)
        deciles.add(Mark(tenth * 10_000, tenth, {"server": sample, "consumer 1": sample}))
    return deciles


@pytest.mark.parametrize(
    ("deciles", "passed"),
    [
        (long_run(), True),
        (long_run(cpu=0.09, memory=115), True),
        (long_run(cpu=0.2), False),
        (long_run(memory=130), False),
        (Deciles(total=100_000), False),
        (Deciles(total=10_000), True),
    ],
)
def test_a_long_run_must_be_measured_and_stable(deciles: Deciles, *, passed: bool) -> None:
    assert stability(deciles).passed == passed


def test_aws_calls_are_counted_between_two_readings() -> None:
    before = {"s3:PutObject": 5.0, "sqs:ReceiveMessage": 3.0}
    after = {"s3:PutObject": 105.0, "sqs:ReceiveMessage": 3.0, "sns:PublishBatch": 10.0}
    assert calls_table(before, after, 100).rows == (
        ("all", 110, 1.1),
        ("s3:PutObject", 100, 1.0),
        ("sns:PublishBatch", 10, 0.1),
    )
