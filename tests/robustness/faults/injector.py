"""Decides for each call of each process whether a fault happens to it."""

import asyncio
import random
import re
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

from aiohttp import web

from harness.aws_proxy import Forward, Hook, ProxiedCall, Unreachable
from robustness.faults import answers
from robustness.faults.failpoints import Failpoints, Moment, Target
from robustness.faults.steps import steps_of


class Fault(StrEnum):
    """A fault of a call. The seconds of a rule apply to DELAY and BLACK_HOLE."""

    DELAY = "delay"
    RESET = "reset"
    BLACK_HOLE = "black hole"
    """No answer, and then a reset."""
    ERROR = "error"
    THROTTLE = "throttle"
    LOST = "answer lost"
    """The call is done, and the connection is reset."""
    ERROR_AFTER = "error after success"
    PARTIAL = "partial"
    """Some entries of a batch fail, or seem to fail, or have no answer."""
    EMPTY = "empty answer"
    SHORT_HOLD = "short visibility timeout"
    """Received messages are hidden for the seconds of the rule, so that those of a killed command come back soon."""
    DUPLICATE = "duplicates"
    """Received messages come twice, in another order, and again later."""


@dataclass(frozen=True, slots=True)
class FaultRule:
    """A fault that happens to a share of the calls whose operation matches."""

    fault: Fault
    share: float = 1.0
    operations: str = ".*"
    seconds: float = 1.0

    def matches(self, call: ProxiedCall) -> bool:
        return re.fullmatch(self.operations, call.operation) is not None


@dataclass(slots=True)
class FaultInjector:
    """The rules of the moment, for all processes. `injected` counts faults by fault and operation."""

    rng: random.Random
    failpoints: Failpoints
    rules: tuple[FaultRule, ...] = ()
    injected: Counter[str] = field(default_factory=Counter)
    _duplicates: answers.Duplicates = field(init=False)

    def __post_init__(self) -> None:
        self._duplicates = answers.Duplicates(self.rng)

    def hook(self, target: Target) -> Hook:
        """Return the hook for the proxy of one process."""

        async def handle(call: ProxiedCall, forward: Forward) -> web.Response:
            steps = steps_of(call)
            await self.failpoints.pass_moment(target, steps, Moment.BEFORE)
            answer = await self._answer(call, forward)
            await self.failpoints.pass_moment(target, steps, Moment.AFTER)
            return answer

        return handle

    async def _answer(self, call: ProxiedCall, forward: Forward) -> web.Response:
        rule = next(
            (each for each in self.rules if each.matches(call) and self.rng.random() < each.share),
            None,
        )
        if rule is None:
            return await forward()
        self.injected[f"{rule.fault} {call.service} {call.operation}"] += 1
        return await self._injected(rule, call, forward)

    async def _injected(self, rule: FaultRule, call: ProxiedCall, forward: Forward) -> web.Response:
        match rule.fault:
            case Fault.DELAY:
                await asyncio.sleep(self.rng.uniform(0, rule.seconds))
                return await forward()
            case Fault.PARTIAL:
                return await answers.partial(call, forward, self.rng)
            case Fault.SHORT_HOLD:
                return await answers.held_for(round(rule.seconds), call, forward)
            case Fault.DUPLICATE:
                return await self._duplicates.answer(call, forward)
            case Fault.BLACK_HOLE:
                await asyncio.sleep(rule.seconds)
            case Fault.LOST | Fault.ERROR_AFTER:
                await forward()
        return self._replaced(rule.fault, call)

    def _replaced(self, fault: Fault, call: ProxiedCall) -> web.Response:
        """Return the answer that replaces the one of AWS. Raises Unreachable if the caller gets no answer."""
        match fault:
            case Fault.ERROR | Fault.ERROR_AFTER:
                return answers.error(call, self.rng)
            case Fault.THROTTLE:
                return answers.throttled(call)
            case Fault.EMPTY:
                return answers.empty(call)
        raise Unreachable


def background(share: float) -> tuple[FaultRule, ...]:
    """Return rules for faults of every kind, each at about `share` of the calls."""
    return (
        FaultRule(Fault.RESET, share),
        FaultRule(Fault.LOST, share),
        FaultRule(Fault.ERROR, share),
        FaultRule(Fault.ERROR_AFTER, share / 2),
        FaultRule(Fault.THROTTLE, share),
        FaultRule(Fault.DELAY, share, seconds=1.5),
        FaultRule(Fault.BLACK_HOLE, share / 10, seconds=20.0),
        FaultRule(Fault.PARTIAL, share, operations=answers.BATCHES),
    )
