"""An event loop for several simulated processes: virtual time, and an order of callbacks that a seed decides.

A process is a set of tasks with one context variable. It can be killed or paused at any callback: its callbacks and
timers then wait, for ever or until it is resumed, as under SIGKILL and SIGSTOP.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from contextvars import Context, ContextVar, copy_context
from typing import Any, TypeVar

from harness.virtual_time import VirtualTimeLoop

R = TypeVar("R")

_MAX_CALLBACKS = 500_000
"""A simulation takes about 10,000."""


class Livelock(Exception):
    """The code under test works on and never comes to rest."""


class Process:
    """A simulated process. `skew_s` is the error of its wall clock in seconds."""

    def __init__(self, name: str, *, skew_s: float = 0.0) -> None:
        self.name = name
        self.skew_s = skew_s
        self.stopped = False
        self.killed = False
        self.waiting: list[asyncio.Handle] = []
        """Callbacks that became ready while it was stopped."""
        self._context = copy_context()
        self._context.run(PROCESS.set, self)

    def spawn(self, work: Coroutine[Any, Any, R]) -> asyncio.Task[R]:
        return asyncio.get_running_loop().create_task(work, context=self._context.copy())

    def call(self, function: Callable[..., R], *arguments: Any) -> R:
        """Call a function as this process."""
        return self._context.copy().run(function, *arguments)


PROCESS: ContextVar[Process | None] = ContextVar("process", default=None)
"""The process of the running callback; None outside of the processes, where AWS and the callers are."""


class SimulatedLoop(VirtualTimeLoop):
    """Runs the ready callbacks in an order that depends on `seed` only. Seed 0 keeps the order of asyncio."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        rng = random.Random(seed)
        self._ready = _ReadyQueue(self, rng.randrange if seed else lambda _count: 0)
        self._tasks = 0
        self.set_task_factory(_make_task)
        self.errors: list[str] = []
        """Exceptions that left a callback: nothing in the code under test may raise there."""
        self.set_exception_handler(self._record_error)

    def next_hash(self) -> int:
        self._tasks += 1
        return self._tasks

    def stop_process(self, process: Process, *, kill: bool = False) -> None:
        """Stop a process after the running callback. A killed one is never resumed."""
        process.stopped = True
        process.killed = process.killed or kill
        self._ready.set_stopped_aside()

    def pause_process(self, process: Process, seconds: float) -> None:
        """Stop a process, and resume it after some seconds."""
        self.stop_process(process)
        # In a context of its own: the timers of a stopped process do not fire.
        self.call_later(seconds, self.resume_process, process, context=Context())

    def resume_process(self, process: Process) -> None:
        if process.stopped and not process.killed:
            process.stopped = False
            self._release(process)

    def bury(self, processes: Iterable[Process]) -> None:
        """Let stopped processes run again, so that the end of the simulation can cancel their tasks."""
        for process in processes:
            process.stopped = False
            self._release(process)

    def _release(self, process: Process) -> None:
        waiting, process.waiting = process.waiting, []
        self._ready.extend(waiting)

    def _record_error(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        # The collector reports errors that nobody retrieved, at a time that depends on the memory.
        if "never retrieved" not in context["message"]:
            self.errors.append(f"{context['message']}: {context.get('exception')!r}")


class _ReadyQueue(deque[asyncio.Handle]):
    """The callbacks that the loop runs next. `choose` returns the position of one, given their number."""

    def __init__(self, loop: asyncio.AbstractEventLoop, choose: Callable[[int], int]) -> None:
        super().__init__()
        self._choose = choose
        self._left = _MAX_CALLBACKS
        self._nothing = asyncio.Handle(lambda: None, (), loop, Context())
        self._nothing.cancel()

    def append(self, handle: asyncio.Handle) -> None:
        process = _process_of(handle)
        if process is not None and process.stopped:
            process.waiting.append(handle)
        else:
            super().append(handle)

    def popleft(self) -> asyncio.Handle:
        if not self:  # The loop has counted callbacks that were set aside since.
            return self._nothing
        self._left -= 1
        if self._left == 0:  # Not below: the end of the loop has to run.
            raise Livelock
        position = self._choose(len(self))
        handle = self[position]
        del self[position]
        return handle

    def set_stopped_aside(self) -> None:
        """Move the callbacks of stopped processes to them."""
        handles = list(self)
        self.clear()
        for handle in handles:
            self.append(handle)


def _process_of(handle: asyncio.Handle) -> Process | None:
    context: Context = handle._context  # type: ignore[attr-defined]
    return context.get(PROCESS)


class _Task(asyncio.Task[Any]):
    """A task whose hash is not its address: the order of sets of tasks must be the same in each run."""

    def __init__(self, *arguments: Any, loop: SimulatedLoop, **options: Any) -> None:
        self._hash = loop.next_hash()
        super().__init__(*arguments, loop=loop, **options)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other


def _make_task(loop: Any, work: Any, **options: Any) -> _Task:
    return _Task(work, loop=loop, **options)


def run_schedule(main: Callable[[SimulatedLoop], Coroutine[Any, Any, R]], *, seed: int) -> R:
    """Run a coroutine like asyncio.run, in the order of this seed. Raises Deadlock if it would wait for ever."""
    loop = SimulatedLoop(seed)
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        answer = runner.run(main(loop))
    assert not loop.errors, loop.errors
    return answer
