"""Faults and failpoints of one process, as its proxy carries them out."""

import random
import signal
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from harness.aws_proxy import ProxiedCall, Unreachable
from robustness.faults.failpoints import Action, Failpoints, Moment
from robustness.faults.injector import Fault, FaultInjector, FaultRule

CALL = ProxiedCall("PUT", b"", "s3")


@dataclass
class Process:
    """Records the signals."""

    program_name: str = "consumer"
    signals: list[signal.Signals] = field(default_factory=list)

    def signal(self, number: signal.Signals) -> bool:
        self.signals.append(number)
        return True


@dataclass
class Backend:
    calls: int = 0

    async def __call__(self, body: bytes | None = None) -> web.Response:
        assert body is None
        self.calls += 1
        return web.Response()


def injector(*rules: FaultRule) -> FaultInjector:
    points = Failpoints(random.Random(1), actions=(Action.KILL,))
    return FaultInjector(random.Random(1), points, rules)


async def test_each_step_is_hit_before_and_after_it_is_done() -> None:
    """The point that was hit least comes first. The call is done only if the process dies after it."""
    faults, process, backend = injector(), Process(), Backend()
    handle = faults.hook(process)
    await handle(CALL, backend)
    done = []
    for _ in range(2):
        faults.failpoints.arm("consumer", "server")
        before = backend.calls
        with pytest.raises(Unreachable):
            await handle(CALL, backend)
        done.append(backend.calls - before)
    assert sorted(done) == [0, 1]
    assert {point.moment for point in faults.failpoints.hit} == set(Moment)
    assert process.signals == [signal.SIGKILL] * 2


async def test_a_failpoint_is_for_one_program() -> None:
    faults, other, backend = injector(), Process("indexer"), Backend()
    await faults.hook(Process())(CALL, backend)
    faults.failpoints.arm("consumer")
    await faults.hook(other)(CALL, backend)
    assert other.signals == []


@pytest.mark.parametrize(
    ("fault", "calls"),
    [(Fault.RESET, 0), (Fault.LOST, 1), (Fault.BLACK_HOLE, 0)],
)
async def test_a_call_without_an_answer(fault: Fault, calls: int) -> None:
    faults, backend = injector(FaultRule(fault, seconds=0)), Backend()
    with pytest.raises(Unreachable):
        await faults.hook(Process())(CALL, backend)
    assert backend.calls == calls


@pytest.mark.parametrize(("fault", "calls"), [(Fault.ERROR, 0), (Fault.ERROR_AFTER, 1)])
async def test_an_error_before_and_after_success(fault: Fault, calls: int) -> None:
    faults, backend = injector(FaultRule(fault)), Backend()
    answer = await faults.hook(Process())(CALL, backend)
    assert (answer.status >= 500, backend.calls) == (True, calls)


async def test_a_rule_is_for_its_operations() -> None:
    faults, backend = injector(FaultRule(Fault.RESET, operations="GET|POST")), Backend()
    await faults.hook(Process())(CALL, backend)
    assert backend.calls == 1
    assert not faults.injected
