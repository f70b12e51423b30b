"""Failpoints: a process is killed, stopped or delayed at one step, before or after the call is done.

The proxy of the process carries them out, so production has no code for them. The steps are found in the calls that
each program makes; the points that were hit least come first, so that a long run hits each of them.
"""

import asyncio
import random
import signal
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from harness.aws_proxy import Unreachable


class Moment(StrEnum):
    BEFORE = "before"
    AFTER = "after"


class Action(StrEnum):
    KILL = "kill"
    STOP = "stop"
    """SIGTERM."""
    DELAY = "delay"


_DELAY_S = 5.0


class Target(Protocol):
    """The process behind a proxy. `program_name` is the program that it runs."""

    @property
    def program_name(self) -> str: ...

    def signal(self, number: signal.Signals) -> bool: ...


@dataclass(frozen=True, slots=True, order=True)
class Point:
    program: str
    step: str
    moment: Moment

    def __str__(self) -> str:
        return f"{self.program}: {self.moment} {self.step}"


@dataclass(slots=True)
class Failpoints:
    """`armed` has by program the point that acts when it is reached next.

    `seen` counts how often each point was reached, `hit` how often it acted.
    """

    rng: random.Random
    actions: tuple[Action, ...] = (Action.KILL, Action.KILL, Action.STOP, Action.DELAY)
    seen: Counter[Point] = field(default_factory=Counter)
    hit: Counter[Point] = field(default_factory=Counter)
    armed: dict[str, Point] = field(default_factory=dict)

    def arm(self, *programs: str) -> None:
        """Arm one of the least hit points of each of these programs."""
        for program in programs:
            if candidates := sorted(point for point in self.seen if point.program == program):
                self._arm(program, candidates)

    def _arm(self, program: str, candidates: list[Point]) -> None:
        fewest = min(self.hit[point] for point in candidates)
        self.armed[program] = self.rng.choice(
            [each for each in candidates if self.hit[each] == fewest]
        )

    def disarm(self) -> None:
        self.armed.clear()

    async def pass_moment(self, target: Target, steps: list[str], moment: Moment) -> None:
        """Count the points of a call, and act if one of them is armed. Raises Unreachable after a kill."""
        points = [Point(target.program_name, step, moment) for step in steps]
        self.seen.update(points)
        armed = self.armed.get(target.program_name)
        if armed not in points:
            return
        self.hit[armed] += 1
        del self.armed[target.program_name]
        match self.rng.choice(self.actions):
            case Action.KILL:
                target.signal(signal.SIGKILL)
                raise Unreachable
            case Action.STOP:
                target.signal(signal.SIGTERM)
            case Action.DELAY:
                await asyncio.sleep(_DELAY_S)
