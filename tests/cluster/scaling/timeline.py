"""The timeline of a run, second by second: the queue depths, and the desired and ready pods."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from cluster.control_plane import Kubectl
from cluster.scaling.backlog import Lanes

NAMESPACE = "imageservice"
NAME = "imageservice-consumer"
_INTERVAL_S = 1.0
_POLL_S = 0.2
_MAX_SILENCE_S = 10.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample. `seconds` is the time since the first one. `fallback` means that KEDA cannot read a depth."""

    seconds: float
    phase: str
    visible: int
    in_flight: int
    bulk: int
    desired: int
    ready: int
    fallback: bool

    @property
    def state(self) -> tuple[object, ...]:
        depths = (self.visible, self.in_flight, self.bulk)
        return (self.phase, *depths, self.desired, self.ready, self.fallback)


class ConditionTimeout(AssertionError):
    """A condition did not hold in time. `str()` has the last sample."""


@dataclass(slots=True)
class Timeline:
    """Samples since the start. `print_line` is called for every change."""

    kubectl: Kubectl
    queues: Lanes
    print_line: Callable[[str], None]
    samples: list[Sample] = field(default_factory=list)
    phase: str = ""
    watching: "asyncio.Task[None] | None" = None
    _started: float = field(default_factory=time.monotonic)
    _last_printed: float = 0.0

    def enter(self, phase: str) -> None:
        self.phase = phase
        self.print_line(f"-- {phase}")

    def of(self, phase: str) -> list[Sample]:
        return [sample for sample in self.samples if sample.phase == phase]

    async def until(
        self, condition: Callable[[Sample], bool], description: str, *, seconds: float = 180
    ) -> Sample:
        """Wait for a sample of this phase that fulfils the condition. Raises ConditionTimeout."""
        end, seen = time.monotonic() + seconds, len(self.samples)
        while time.monotonic() < end:
            for sample in self.samples[seen:]:
                if sample.phase == self.phase and condition(sample):
                    return sample
            seen = len(self.samples)
            if self.watching is not None and self.watching.done():
                self.watching.result()
            await asyncio.sleep(_POLL_S)
        last = self.samples[-1] if self.samples else None
        raise ConditionTimeout(
            f"{self.phase}: not {description} within {seconds:g} s; last seen: {last}"
        )

    async def watch(self) -> None:
        """Take samples until cancelled."""
        while True:
            self._add(await self._sample())
            await asyncio.sleep(_INTERVAL_S)

    async def _sample(self) -> Sample:
        phase = self.phase
        objects, depth, bulk = await asyncio.gather(
            self.kubectl.get(f"deployment/{NAME}", f"scaledobject/{NAME}", "-n", NAMESPACE),
            self.queues.interactive.depth(),
            self.queues.bulk.depth(),
        )
        deployment, scaled = objects["items"]
        return Sample(
            seconds=round(time.monotonic() - self._started, 1),
            phase=phase,
            visible=depth.visible,
            in_flight=depth.in_flight,
            bulk=bulk.total,
            desired=deployment["spec"]["replicas"],
            ready=deployment["status"].get("readyReplicas", 0),
            fallback=condition_of(scaled, "Fallback") == "True",
        )

    def _add(self, sample: Sample) -> None:
        changed = not self.samples or sample.state != self.samples[-1].state
        self.samples.append(sample)
        if changed or sample.seconds - self._last_printed >= _MAX_SILENCE_S:
            self._last_printed = sample.seconds
            self.print_line(
                f"{sample.seconds:7.1f} s  depth {sample.visible + sample.in_flight:4} ({sample.in_flight:3} in flight)"
                f"  bulk {sample.bulk:4}"
                f"  desired {sample.desired:2}  ready {sample.ready:2}{'  fallback' if sample.fallback else ''}"
            )


def condition_of(scaled_object: dict[str, Any], kind: str) -> str:
    """Return the status of a condition of a ScaledObject. Empty if KEDA has not set it yet."""
    conditions = scaled_object.get("status", {}).get("conditions", ())
    return next((each["status"] for each in conditions if each["type"] == kind), "")


@asynccontextmanager
async def timeline(
    kubectl: Kubectl, queues: Lanes, print_line: Callable[[str], None]
) -> AsyncIterator[Timeline]:
    """Take samples while the block runs. An error in the sampling is raised in `until`."""
    running = Timeline(kubectl, queues, print_line)
    running.watching = asyncio.create_task(running.watch())
    try:
        yield running
    finally:
        running.watching.cancel()
        await asyncio.wait({running.watching})
