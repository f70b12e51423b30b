"""Keeps one child running until told to stop."""

import asyncio
import time
from contextlib import suppress
from typing import Protocol

from cli.errors import CommandFailed
from cli.local.child import Child, ChildSpec, describe_exit
from core.resilience.backoff import RestartPolicy

DEATHS_BEFORE_READY = 3
"""A child that has never been ready is given up after so many deaths: another start would not help."""


class Notices(Protocol):
    """Who is told of a child's fate."""

    def ready(self, spec: ChildSpec) -> None: ...

    def died(self, spec: ChildSpec, how: str, delay: float) -> None:
        """`how` it ended, for people; it starts again after `delay` seconds."""


class Keeper:
    """Starts a child, and starts it again whenever it dies."""

    def __init__(
        self, spec: ChildSpec, leash: int, notices: Notices, policy: RestartPolicy
    ) -> None:
        self.spec = spec
        self.been_ready = asyncio.Event()
        self._leash = leash
        self._notices = notices
        self._policy = policy
        self._stopping = asyncio.Event()
        self._grace: float | None = None
        self._child: Child | None = None

    @property
    def pid(self) -> int | None:
        """Of the process that runs now; None while there is none."""
        return self._child.pid if self._child is not None and self._child.running else None

    async def run(self) -> None:
        """Until `stop`, which it outlives until the child has left. Raises CommandFailed when it gives up."""
        deaths = 0
        while not self._stopping.is_set():
            began = time.monotonic()
            code = await self._one_life()
            if self._stopping.is_set():
                return
            restart = self._policy.after(deaths, time.monotonic() - began)
            deaths = restart.deaths
            if deaths >= DEATHS_BEFORE_READY and not self.been_ready.is_set():
                raise CommandFailed(f"{self.spec.name} does not start: {describe_exit(code)}")
            self._notices.died(self.spec, describe_exit(code), restart.delay)
            with suppress(TimeoutError):
                async with asyncio.timeout(restart.delay):
                    await self._stopping.wait()

    def stop(self, grace: float | None = None) -> None:
        """Tell the child to leave, with `grace` seconds before it is killed (its own, when None)."""
        self._grace = grace
        self._stopping.set()

    def kill(self) -> None:
        """End the child without grace."""
        if self._child is not None:
            self._child.kill()

    async def _one_life(self) -> int:
        self._child = child = await Child.start(self.spec, self._leash)
        getting_ready = asyncio.create_task(self._tell_when_ready())
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({child.ended, stopping}, return_when=asyncio.FIRST_COMPLETED)
            return await child.stop(self._grace)
        finally:
            getting_ready.cancel()
            stopping.cancel()
            child.kill()

    async def _tell_when_ready(self) -> None:
        await self.spec.ready()
        self.been_ready.set()
        self._notices.ready(self.spec)
