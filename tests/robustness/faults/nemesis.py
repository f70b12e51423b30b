"""Signals to processes: kills, stops and pauses."""

import asyncio
import random
import signal
from dataclasses import dataclass

from robustness.system.cluster import Cluster, Member

_READY_SHARE = 0.9
"""Share of the kills that leave a process of the program. The others may hit one that starts, or the last one."""
_WORKER_SHARE = 0.4
"""Share of the kills of a server with workers that hit one of them."""


@dataclass(slots=True)
class Nemesis:
    """Sends signals to the members of a cluster. `kills` counts those that ended a process."""

    cluster: Cluster
    rng: random.Random
    kills: int = 0

    async def kill(self, count: int, interval_s: float, *, until: asyncio.Event) -> None:
        """Kill or stop `count` servers and consumers, one in `interval_s` seconds on average. `until` ends it early."""
        while self.kills < count and not until.is_set():
            await asyncio.sleep(self.rng.uniform(0.2, 1.8) * interval_s)
            victims = self.cluster.named("server", "consumer")
            if self.rng.random() < _READY_SHARE:
                victims = [each for each in victims if self._is_spare(each)]
            if not victims:
                continue
            member = self.rng.choice(victims)
            if self.rng.random() < _WORKER_SHARE and member.kill_worker():
                self.kills += 1
            else:
                self.kills += member.signal(self.rng.choice((signal.SIGKILL, signal.SIGTERM)))

    def _is_spare(self, member: Member) -> bool:
        return member.ready and self.cluster.can_spare(member.program_name)

    async def pause(self, member: Member, count: int, seconds: float) -> None:
        """Suspend a process `count` times, each time for `seconds` and up to 60 % longer."""
        for _ in range(count):
            await asyncio.sleep(self.rng.uniform(1, 5))
            if not member.signal(signal.SIGSTOP):
                continue
            try:
                await asyncio.sleep(seconds * self.rng.uniform(1, 1.6))
            finally:
                member.signal(signal.SIGCONT)
