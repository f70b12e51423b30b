"""Keeps a group of children running."""

import asyncio
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from cli.errors import CommandFailed
from cli.local.child import ChildSpec
from cli.local.restarter import Keeper, Notices
from core.resilience.backoff import RestartPolicy


class Supervisor:
    """A group of children, from `async with` to its end; leaving it ends them all at once."""

    def __init__(
        self,
        specs: Iterable[ChildSpec],
        leash: int,
        notices: Notices,
        policy: RestartPolicy | None = None,
    ) -> None:
        policy = policy or RestartPolicy()
        self._keepers = [Keeper(spec, leash, notices, policy) for spec in specs]
        self._runs: list[asyncio.Task[None]] = []
        self._grace: float | None = None

    async def __aenter__(self) -> Self:
        self._runs = [asyncio.create_task(keeper.run()) for keeper in self._keepers]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for keeper in self._keepers:
            keeper.stop(self._grace)
        # A child that was given up is known already: `ready` or `failed` has raised it.
        await asyncio.gather(*self._runs, return_exceptions=True)

    def hurry(self, grace: float) -> None:
        """Give the children so many seconds at the end, instead of their own."""
        self._grace = grace

    def kill(self) -> None:
        """End all children now; together with leaving, nothing is left of them."""
        for keeper in self._keepers:
            keeper.kill()

    async def ready(self, within: float) -> None:
        """Return once every child has been ready; raise CommandFailed after `within` seconds."""
        waiting = asyncio.create_task(self._all_ready())
        failing = asyncio.create_task(self.failed())
        try:
            await asyncio.wait(
                {waiting, failing}, timeout=within, return_when=asyncio.FIRST_COMPLETED
            )
            if failing.done():
                await failing
            late = [k.spec.name for k in self._keepers if not k.been_ready.is_set()]
            if late:
                raise CommandFailed(f"not ready within {within:g} s: {', '.join(late)}")
        finally:
            waiting.cancel()
            failing.cancel()

    async def _all_ready(self) -> None:
        for keeper in self._keepers:
            await keeper.been_ready.wait()

    async def failed(self) -> None:
        """Wait until a child is given up, and raise CommandFailed."""
        done, _ = await asyncio.wait(self._runs, return_when=asyncio.FIRST_EXCEPTION)
        for run in done:
            run.result()

    def pids(self) -> dict[str, list[int]]:
        """Of the processes that run now, by role."""
        pids: dict[str, list[int]] = {}
        for keeper in self._keepers:
            running = pids.setdefault(keeper.spec.role, [])
            if keeper.pid is not None:
                running.append(keeper.pid)
        return pids
