"""What a long run cost at its end and at its beginning, and what it called. Pure."""

import pytest

from loadtest.million.aws_calls import calls_table
from loadtest.million.steadiness import steadiness
from loadtest.million.tenths import Mark, Tenths
from loadtest.run_report.processes import ProcessSample


def mark(ended: int, seconds: float, cpu: float) -> Mark:
    server = ProcessSample(cpu, 80.0)
    return Mark(ended, seconds, {"server": server, "driver": ProcessSample(cpu * 5, 50.0)})


def test_tenths_are_cut_by_what_has_ended() -> None:
    """Samples do not hit the tenths; each first one in a new tenth counts. The driver is none of ours."""
    tenths = Tenths(total=1_000)
    for ended in range(0, 1_001, 40):
        tenths.see(mark(ended, ended / 10, cpu=ended / 500))
    assert [one.items for one in tenths.marks] == [
        *(0, 120, 200, 320, 400, 520, 600, 720, 800, 920, 1_000)
    ]
    rows = tenths.table().rows
    assert {row[2] for row in rows} == {2.0}
    assert tenths.growth() == pytest.approx(1.0)


def test_growth_compares_the_last_tenth_with_the_first() -> None:
    tenths = Tenths(total=10)
    for ended in range(11):
        tenths.see(mark(ended, ended, cpu=ended + (0.5 if ended == 10 else 0)))
    assert tenths.growth() == pytest.approx(1.5)


def test_a_run_without_ten_tenths_tells_no_growth() -> None:
    tenths = Tenths(total=10)
    tenths.see(mark(0, 0, 0))
    tenths.see(mark(10, 1, 1))
    assert tenths.growth() is None


def long_run(*, cpu: float = 0.0, memory: float = 100.0) -> Tenths:
    """Of 100,000 items, whose last tenth spends `cpu` seconds more and ends with `memory` MiB."""
    tenths = Tenths(total=100_000)
    for tenth in range(11):
        spent = tenth + (cpu if tenth == 10 else 0)
        sample = ProcessSample(spent, memory if tenth == 10 else 100.0)
        tenths.see(Mark(tenth * 10_000, tenth, {"server": sample, "consumer 1": sample}))
    return tenths


@pytest.mark.parametrize(
    ("tenths", "passed"),
    [
        (long_run(), True),
        (long_run(cpu=0.09, memory=115), True),
        (long_run(cpu=0.2), False),
        (long_run(memory=130), False),
        (Tenths(total=100_000), False),
        (Tenths(total=10_000), True),
    ],
)
def test_a_long_run_must_be_measured_and_steady(tenths: Tenths, *, passed: bool) -> None:
    assert steadiness(tenths).passed == passed


def test_aws_calls_are_those_made_meanwhile() -> None:
    before = {"s3:PutObject": 5.0, "sqs:ReceiveMessage": 3.0}
    after = {"s3:PutObject": 105.0, "sqs:ReceiveMessage": 3.0, "sns:PublishBatch": 10.0}
    assert calls_table(before, after, 100).rows == (
        ("all", 110, 1.1),
        ("s3:PutObject", 100, 1.0),
        ("sns:PublishBatch", 10, 0.1),
    )
