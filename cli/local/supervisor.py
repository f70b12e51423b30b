"""Keep a group of children running until a stop is requested."""

import asyncio
from collections.abc import Iterable
from typing import Protocol, Self

from cli.errors import CommandFailed
from cli.local.child import ChildSpec
from core.resilience.backoff import Backoff
from core.runtime.child_process import (
    RESTART_BACKOFF,
    ChildProcess,
    describe_exit,
    run_with_restarts,
)

MAX_FAILED_STARTS = 3
"""A child that has never been ready is given up after this many deaths: another start would not help."""


class ChildObserver(Protocol):
    def ready(self, spec: ChildSpec) -> None: ...

    def died(self, spec: ChildSpec, how: str, delay_s: float) -> None:
        """`how` the child ended, for people. It starts again after `delay_s` seconds."""


class _ChildRunner:
    """Starts one child, and starts it again when it dies."""

    def __init__(
        self, spec: ChildSpec, parent_pipe: int, observer: ChildObserver, backoff: Backoff
    ) -> None:
        self.spec = spec
        self.was_ready = asyncio.Event()
        self._parent_pipe = parent_pipe
        self._observer = observer
        self._backoff = backoff
        self._stopping = asyncio.Event()
        self._grace_s = spec.grace_s
        self._child: ChildProcess | None = None

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child is not None and self._child.running else None

    async def run(self) -> None:
        """Run until `stop` and until the child has ended. Raises CommandFailed when it gives up."""
        await run_with_restarts(
            self._run_once, stopping=self._stopping, on_exit=self._on_exit, backoff=self._backoff
        )

    def stop(self, grace_s: float | None) -> None:
        """Send SIGTERM to the child, and SIGKILL after `grace_s` seconds (the spec's own if None)."""
        if grace_s is not None:
            self._grace_s = grace_s
        self._stopping.set()

    def kill(self) -> None:
        if self._child is not None:
            self._child.kill()

    async def _run_once(self) -> int:
        self._child = child = await self.spec.start(self._parent_pipe)
        readiness = asyncio.create_task(self._report_readiness())
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({child.exited, stopping}, return_when=asyncio.FIRST_COMPLETED)
            return await child.stop(self._grace_s)
        finally:
            readiness.cancel()
            stopping.cancel()
            child.kill()

    def _on_exit(self, code: int, failures: int, delay_s: float) -> bool:
        how = describe_exit(code)
        if failures >= MAX_FAILED_STARTS and not self.was_ready.is_set():
            raise CommandFailed(f"{self.spec.name} does not start: {how}")
        self._observer.died(self.spec, how, delay_s)
        return True

    async def _report_readiness(self) -> None:
        await self.spec.ready()
        self.was_ready.set()
        self._observer.ready(self.spec)


class Supervisor:
    """A group of children. They run inside its `async with` block; leaving the block stops all of them."""

    def __init__(
        self,
        specs: Iterable[ChildSpec],
        parent_pipe: int,
        observer: ChildObserver,
        backoff: Backoff = RESTART_BACKOFF,
    ) -> None:
        self._runners = [_ChildRunner(spec, parent_pipe, observer, backoff) for spec in specs]
        self._runs: list[asyncio.Task[None]] = []
        self._grace_s: float | None = None

    async def __aenter__(self) -> Self:
        self._runs = [asyncio.create_task(runner.run()) for runner in self._runners]
        return self

    async def __aexit__(self, *_: object) -> None:
        for runner in self._runners:
            runner.stop(self._grace_s)
        # `wait_ready` or `wait_failed` has already raised the error of a child that was given up.
        await asyncio.gather(*self._runs, return_exceptions=True)

    def shorten_grace(self, grace_s: float) -> None:
        """Give every child `grace_s` seconds at the end instead of its own grace."""
        self._grace_s = grace_s

    def kill(self) -> None:
        for runner in self._runners:
            runner.kill()

    async def wait_ready(self, within_s: float) -> None:
        """Wait until every child has been ready. Raises CommandFailed after `within_s` seconds."""
        ready = asyncio.create_task(self._wait_all_ready())
        failed = asyncio.create_task(self.wait_failed())
        try:
            await asyncio.wait(
                {ready, failed}, timeout=within_s, return_when=asyncio.FIRST_COMPLETED
            )
            if failed.done():
                await failed
            late = [r.spec.name for r in self._runners if not r.was_ready.is_set()]
            if late:
                raise CommandFailed(f"not ready within {within_s:g} s: {', '.join(late)}")
        finally:
            ready.cancel()
            failed.cancel()

    async def wait_failed(self) -> None:
        """Wait until a child is given up, and raise its CommandFailed."""
        done, _ = await asyncio.wait(self._runs, return_when=asyncio.FIRST_EXCEPTION)
        for run in done:
            run.result()

    def pids(self) -> dict[str, list[int]]:
        """Return the processes that run now, by role."""
        pids: dict[str, list[int]] = {}
        for runner in self._runners:
            running = pids.setdefault(runner.spec.role, [])
            if runner.pid is not None:
                running.append(runner.pid)
        return pids

    async def _wait_all_ready(self) -> None:
        for runner in self._runners:
            await runner.was_ready.wait()
