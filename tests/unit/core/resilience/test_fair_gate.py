"""A gate: a newcomer passes at once, the others take turns, and no place is lost."""

import asyncio

import pytest

from core.resilience.fair_gate import FairGate
from core.resilience.fair_share import FairShare


class Work:
    """Callers that hold a place until `finish`. `running` and `done` have their customers in order."""

    def __init__(self, gate: FairGate) -> None:
        self.gate = gate
        self.running: list[str] = []
        self.done: list[str] = []
        self._ends: dict[str, list[asyncio.Event]] = {}
        self.tasks: list[asyncio.Task[None]] = []

    async def start(self, customer: str, callers: int = 1) -> None:
        for _ in range(callers):
            self.tasks.append(asyncio.create_task(self._run(customer)))
        await self.settle()

    async def settle(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)

    async def finish(self, customer: str, callers: int = 1) -> None:
        for _ in range(callers):
            self._ends[customer].pop(0).set()
        await self.settle()

    async def _run(self, customer: str) -> None:
        async with self.gate.slot(customer):
            self.running.append(customer)
            end = asyncio.Event()
            self._ends.setdefault(customer, []).append(end)
            await end.wait()
        self.running.remove(customer)
        self.done.append(customer)


async def test_a_newcomer_passes_while_a_customer_uses_all_places() -> None:
    """The reserve is for customers below their share; the others wait for their own places."""
    work = Work(FairGate(FairShare(4)))
    await work.start("a", 10)
    await work.start("b", 3)
    assert (work.running.count("a"), work.running.count("b")) == (4, 2)
    await work.finish("b")
    assert (work.running.count("a"), work.running.count("b")) == (4, 2)
    await work.finish("a", 2)
    assert (work.running.count("a"), work.running.count("b")) == (2, 2)
    await work.finish("a")
    assert (work.running.count("a"), work.running.count("b")) == (2, 2)
    for customer, callers in (("b", 2), ("a", 2), ("a", 4), ("a", 1)):
        await work.finish(customer, callers)
    await asyncio.gather(*work.tasks)
    assert (work.done.count("a"), work.done.count("b")) == (10, 3)


async def test_waiting_customers_take_turns() -> None:
    """A customer with many waiting callers does not go first each time."""
    work = Work(FairGate(FairShare(1, reserve=0)))
    await work.start("a", 4)
    await work.start("b", 2)
    await work.start("c", 1)
    for customer in ("a", "a", "b", "c", "a", "b", "a"):
        assert work.running == [customer]
        await work.finish(customer)


async def test_a_place_goes_to_a_customer_below_its_share() -> None:
    """The customer whose turn it is may not be admitted; then another one is."""
    work = Work(FairGate(FairShare(4, reserve=2)))
    await work.start("a", 6)
    await work.start("b", 2)
    await work.start("c", 1)
    assert sorted(work.running) == ["a", "a", "a", "a", "b", "b"]
    await work.finish("a")
    assert sorted(work.running) == ["a", "a", "a", "b", "b", "c"]


@pytest.mark.parametrize("woken", [False, True])
async def test_a_cancelled_caller_passes_its_turn_on(woken: bool) -> None:
    """Whether its turn had come or not."""
    gate = FairGate(FairShare(1, reserve=0))
    work = Work(gate)
    await work.start("a", 3)
    if woken:
        work._ends["a"].pop(0).set()
        # The first caller ends in one step of the loop, and the second one resumes in the next step.
        await asyncio.sleep(0)
        assert work.running == []
    work.tasks[1].cancel()
    await work.settle()
    if not woken:
        await work.finish("a")
    assert (work.running, work.done) == (["a"], ["a"])
    await work.finish("a")
    assert gate._shares.total == 0
    assert not gate._waiters
