"""Plans of the batcher: items, their results, faults of its calls, and a schedule."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import strategies as st

from core.batcher import Batcher, Batching, Failed, ItemResult, Ok, Retry
from core.errors import DependencyUnavailable, Overloaded, RequestRejected
from robustness.simulation.loop import SimulatedLoop, run_schedule
from robustness.simulation.plan import Choice

MAX_ATTEMPTS = 3
_CALL_TIMEOUT_S = 1.0


class CallEffect(Choice):
    """The effect of a fault on one call."""

    UNAVAILABLE = "the call fails"
    REJECTED = "the call is rejected if it has several items"
    BUG = "an error of our own code"
    SHORT = "a result is missing"
    HANG = "no answer within the time limit"


class Result(Choice):
    OK = "done"
    RETRY = "throttled at first"
    THROTTLED = "throttled for ever"
    FAILED = "fails for good"


@dataclass(frozen=True)
class Item:
    name: int
    key: int
    at: float
    result: Result
    cancelled_after: float | None
    customer_id: str = ""


@dataclass(frozen=True)
class BatcherPlan:
    seed: int
    items: tuple[Item, ...]
    effects: tuple[CallEffect | None, ...]
    """By the number of the call."""
    max_batch: int
    max_flushes: int
    max_pending: int
    linger: float
    drain_at: float

    @property
    def customers(self) -> set[str]:
        return {item.customer_id for item in self.items}


@dataclass
class Backend:
    """Commits items, and checks every call against the limits."""

    plan: BatcherPlan
    calls: int = 0
    running: int = 0
    attempts: Counter[int] = field(default_factory=Counter)
    committed: Counter[int] = field(default_factory=Counter)
    order: dict[int, list[int]] = field(default_factory=dict)
    """Names of the items of each key in the order of their first calls."""

    async def commit(self, items: Sequence[Item]) -> Sequence[ItemResult[int]]:
        assert 0 < len(items) <= self.plan.max_batch
        assert len({item.key for item in items}) == len(items)
        number, self.calls = self.calls, self.calls + 1
        effect = self.plan.effects[number] if number < len(self.plan.effects) else None
        self.running += 1
        # One more is for customers with few items.
        assert self.running <= self.plan.max_flushes + (len(self.plan.customers) > 1)
        try:
            for item in items:
                self._note_order(item)
            await asyncio.sleep(0.1)
            return await self._results(items, effect)
        finally:
            self.running -= 1

    def _note_order(self, item: Item) -> None:
        seen = self.order.setdefault(item.key, [])
        if item.name not in seen:
            seen.append(item.name)

    async def _results(
        self, items: Sequence[Item], effect: CallEffect | None
    ) -> Sequence[ItemResult[int]]:
        match effect:
            case CallEffect.UNAVAILABLE:
                raise DependencyUnavailable("down")
            case CallEffect.REJECTED if len(items) > 1:
                raise RequestRejected("commit", "ValidationException", "")
            case CallEffect.BUG:
                raise ZeroDivisionError
            case CallEffect.HANG:
                try:
                    async with asyncio.timeout(_CALL_TIMEOUT_S):
                        await asyncio.Event().wait()
                except TimeoutError as error:
                    raise DependencyUnavailable("no answer") from error
        results = [self._result(item) for item in items]
        return results[1:] if effect is CallEffect.SHORT else results

    def _result(self, item: Item) -> ItemResult[int]:
        self.attempts[item.name] += 1
        match item.result:
            case Result.RETRY if self.attempts[item.name] == 1:
                return Retry("throttled")
            case Result.THROTTLED:
                return Retry("throttled")
            case Result.FAILED:
                return Failed(RequestRejected("commit", str(item.name), ""))
        self.committed[item.name] += 1
        return Ok(item.name)


def _batcher(plan: BatcherPlan, backend: Backend) -> Batcher[Item, int]:
    return Batcher(
        "test",
        backend.commit,
        max_batch=plan.max_batch,
        batching=Batching(linger=plan.linger),
        max_pending=plan.max_pending,
        max_flushes=plan.max_flushes,
        max_attempts=MAX_ATTEMPTS,
        key=lambda item: item.key,
        quick=True,
    )


async def run_plan(plan: BatcherPlan) -> None:
    backend = Backend(plan)
    batcher = _batcher(plan, backend)
    submitted: dict[int, list[int]] = {}
    answers: dict[int, int | BaseException] = {}

    async def submit(item: Item) -> None:
        await asyncio.sleep(item.at)
        try:
            future = batcher.submit_nowait(item, item.customer_id)
        except Overloaded as error:
            answers[item.name] = error
            return
        most = plan.max_pending + plan.max_batch * (plan.max_flushes + 1)
        assert _pending(batcher) <= most
        submitted.setdefault(item.key, []).append(item.name)
        await asyncio.wait([future], timeout=item.cancelled_after)
        if not future.done():
            future.cancel()
            return
        assert item.name not in answers
        answers[item.name] = future.exception() or future.result()

    async def drain() -> None:
        await asyncio.sleep(plan.drain_at)
        await batcher.drain()
        assert not _pending(batcher)
        assert not batcher._flushes
        assert batcher._quick_flush is None

    # The longest plan: every item alone, each time throttled. A hang fails the test.
    async with asyncio.timeout(1_000):
        await asyncio.gather(drain(), *map(submit, plan.items))
        await batcher.drain()
    assert not _pending(batcher)
    assert (batcher._customers, batcher._busy_customers) == ({}, 0)
    assert backend.running == 0
    for item in plan.items:
        _check_answer(plan, backend, item, answers.get(item.name))
    if plan.max_flushes == 1 and len(plan.customers) == 1:  # Calls that run together have no order.
        _check_order(backend, submitted)


def _pending(batcher: Batcher[Item, int]) -> int:
    return batcher._pending.length + batcher._quick.length


def _check_answer(
    plan: BatcherPlan, backend: Backend, item: Item, answer: int | BaseException | None
) -> None:
    """Check the answer of one item. A call that fails as a whole may fail any of its items."""
    assert backend.attempts[item.name] <= MAX_ATTEMPTS
    assert backend.committed[item.name] <= 1
    match answer:
        case None:
            assert item.cancelled_after is not None
        case int():
            assert answer == item.name
            assert backend.committed[item.name] == 1
        case RequestRejected():
            assert (item.result, answer.code) == (Result.FAILED, str(item.name))
        case DependencyUnavailable():
            by_call = {CallEffect.UNAVAILABLE, CallEffect.HANG} & set(plan.effects)
            assert by_call or item.result is Result.THROTTLED
        case ZeroDivisionError():
            assert CallEffect.BUG in plan.effects
        case ValueError():
            assert CallEffect.SHORT in plan.effects
        case _:
            assert isinstance(answer, Overloaded)


def _check_order(backend: Backend, submitted: dict[int, list[int]]) -> None:
    """Check that items of one key are called in the order in which they were submitted."""
    for key, names in backend.order.items():
        assert names == [name for name in submitted[key] if name in names]


_customers = st.sampled_from(["a", "a", "a", "b", "c"])
"""One of them has more items than the others."""
_times = st.sampled_from([0.0, 0.05, 0.1, 0.15, 0.3, 1.0])
_effects = st.lists(st.one_of(st.none(), st.sampled_from(CallEffect)), max_size=8).map(tuple)


@st.composite
def batcher_plans(draw: st.DrawFn) -> BatcherPlan:
    count = draw(st.integers(1, 25))
    items = [
        Item(
            name=name,
            key=draw(st.integers(0, 6)),
            at=draw(_times),
            result=draw(st.sampled_from([Result.OK, *Result])),
            cancelled_after=draw(st.one_of(st.none(), _times)),
            customer_id=draw(_customers),
        )
        for name in range(count)
    ]
    return BatcherPlan(
        seed=draw(st.integers(0, 2**16)),
        items=tuple(items),
        effects=draw(_effects),
        max_batch=draw(st.integers(1, 4)),
        max_flushes=draw(st.integers(1, 3)),
        max_pending=draw(st.sampled_from([100, 5])),
        linger=draw(st.sampled_from([0.0, 0.02])),
        drain_at=draw(_times),
    )


def run_batcher(plan: BatcherPlan) -> None:
    async def main(_loop: SimulatedLoop) -> None:
        await run_plan(plan)

    run_schedule(main, seed=plan.seed)
