"""What is sampled each second, and what is summed up by tenths of the run."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import aiohttp
from botocore.exceptions import BotoCoreError, ClientError

from loadtest.million.aws_access import AwsAccess
from loadtest.run_report.processes import ProcessSample
from loadtest.run_report.record import Cell, Table
from loadtest.run_report.recorder import Depth

TENTHS = 10
SCRAPE_SECONDS = 5.0
_CALLS = re.compile(r'^aws_calls_total\{[^}]*operation="([^"]+)"[^}]*\} (\S+)$', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Mark:
    """Where everything stood at one moment."""

    items: int
    seconds: float
    processes: Mapping[str, ProcessSample]


@dataclass(slots=True)
class Tenths:
    """Cuts a run of `total` items into ten parts by what has ended, on the samples that come."""

    total: int
    ours: tuple[str, ...] = ("server", "consumer")
    """Beginnings of the names of the processes under test."""
    marks: list[Mark] = field(default_factory=list)

    def see(self, mark: Mark) -> None:
        """The first one begins the run; later ones count when another tenth is full."""
        if not self.marks or mark.items >= self._next():
            self.marks.append(mark)

    def _next(self) -> float:
        """The tenth after the one in which the last mark lies."""
        full = self.marks[-1].items * TENTHS // self.total
        return (full + 1) * self.total / TENTHS

    def table(self) -> Table:
        names = sorted({name for mark in self.marks for name in mark.processes}, key=self._order)
        ours = [name for name in names if name.startswith(self.ours)]
        columns = (
            "ended",
            "items/s",
            "ours: ms/item",
            *(f"{name}: ms/item" for name in names),
            *(f"{name}: MiB" for name in ours),
        )
        pairs = zip(self.marks, self.marks[1:], strict=False)
        return Table(
            "CPU and memory by tenth of the run",
            columns,
            tuple(_row(before, after, names, ours) for before, after in pairs),
            "CPU is user and system time of each process with its children, in milliseconds for each item that ended.",
        )

    def growth(self) -> float | None:
        """CPU an item of our processes in the last tenth as a multiple of the first; None for too short a run."""
        if len(self.marks) <= TENTHS:
            return None
        first, last = (
            _cpu_ms(before, after, self.ours) for before, after in (self.marks[:2], self.marks[-2:])
        )
        return last / first if first else None

    def _order(self, name: str) -> tuple[bool, str]:
        return (not name.startswith(self.ours), name)


def _row(before: Mark, after: Mark, names: Sequence[str], ours: Sequence[str]) -> tuple[Cell, ...]:
    passed = max(after.seconds - before.seconds, 1e-9)
    return (
        after.items,
        round((after.items - before.items) / passed, 1),
        round(_cpu_ms(before, after, tuple(ours)), 3),
        *(round(_cpu_ms(before, after, (name,)), 3) for name in names),
        *(round(_memory(after, name), 1) for name in ours),
    )


def _memory(mark: Mark, name: str) -> float:
    return mark.processes[name].memory_mib if name in mark.processes else 0.0


def _cpu_ms(before: Mark, after: Mark, beginnings: tuple[str, ...]) -> float:
    """Of all processes whose names begin so."""
    if not beginnings:
        return 0.0
    spent = sum(
        max(0.0, sample.cpu_seconds - before.processes[name].cpu_seconds)
        for name, sample in after.processes.items()
        if name.startswith(beginnings) and name in before.processes
    )
    return spent / max(1, after.items - before.items) * 1e3


async def queue_depth(aws: AwsAccess) -> Depth | None:
    """None where it cannot be read just now."""
    names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
    try:
        answer = await aws.clients.wire.sqs.invoke(
            "GetQueueAttributes", {"QueueUrl": aws.queue_url, "AttributeNames": names}
        )
    except (BotoCoreError, ClientError, aiohttp.ClientError, OSError, TimeoutError):
        return None
    return Depth(*(int(answer["Attributes"].get(name, 0)) for name in names))


async def aws_calls(metrics: Sequence[str]) -> dict[str, float]:
    """Calls that server and consumers have made since they began, by operation. `metrics` are URLs."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(SCRAPE_SECONDS)) as session:
        pages = await asyncio.gather(*(_page(session, url) for url in metrics))
    calls: dict[str, float] = {}
    for page in pages:
        for operation, count in _CALLS.findall(page):
            calls[operation] = calls.get(operation, 0.0) + float(count)
    return calls


async def _page(session: aiohttp.ClientSession, url: str) -> str:
    """Empty where nobody answers: a report without this figure is better than none."""
    try:
        async with session.get(url) as response:
            return await response.text()
    except (aiohttp.ClientError, OSError, TimeoutError):
        return ""


def calls_table(before: Mapping[str, float], after: Mapping[str, float], items: int) -> Table:
    """`items` ended between the two readings."""
    made = {name: count - before.get(name, 0.0) for name, count in after.items()}
    rows = [(name, count) for name, count in sorted(made.items(), key=lambda one: -one[1]) if count]
    every = [("all", sum(count for _, count in rows)), *rows]
    return Table(
        "AWS calls of server and consumers",
        ("operation", "calls", "an item"),
        tuple((name, round(count), round(count / max(1, items), 4)) for name, count in every),
    )
