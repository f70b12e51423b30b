"""Children are kept running, told to leave in order, and never left behind. With real processes."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from cli.errors import CommandFailed
from cli.local.child import ChildSpec
from cli.local.supervisor import Supervisor
from core.resilience.backoff import Backoff
from core.runtime.child_process import describe_exit
from core.runtime.parent_watch import parent_pipe
from harness.child_probe import FOREVER, ChildProbes, child_probes

ROOT = Path(__file__).parents[4]
QUICK = Backoff(0.01, 0.02, floor=1)
DEAF = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"
POLITE = "signal.signal(signal.SIGTERM, lambda *_: (line.sendall(b'drained'), sys.exit(0)))"
PARENT = """\
import asyncio, os
from cli.local.child import ChildSpec, watched
from core.runtime.parent_watch import parent_pipe
from cli.local.supervisor import Supervisor

class Silence:
    def ready(self, spec): pass
    def died(self, spec, how, delay_s): pass

async def ready(): pass

async def main():
    specs = [ChildSpec(f"child {n}", "child", watched("calling"), os.environ, ready) for n in range(2)]
    with parent_pipe() as pipe:
        async with Supervisor(specs, pipe, Silence()):
            await asyncio.Event().wait()

asyncio.run(main())
"""


@dataclass
class Heard:
    """What the supervisor had to say."""

    deaths: list[tuple[str, str, float]] = field(default_factory=list)
    ready_again: asyncio.Queue[str] = field(default_factory=asyncio.Queue)

    def ready(self, spec: ChildSpec) -> None:
        self.ready_again.put_nowait(spec.name)

    def died(self, spec: ChildSpec, how: str, delay_s: float) -> None:
        self.deaths.append((spec.name, how, delay_s))


@pytest.fixture
async def calling() -> AsyncIterator[ChildProbes]:
    async with child_probes() as answering:
        yield answering


@pytest.fixture
def heard() -> Heard:
    return Heard()


async def at_once() -> None:
    pass


async def never() -> None:
    await asyncio.Event().wait()


def child(calling: ChildProbes, before: str = "", after: str = FOREVER) -> ChildSpec:
    command = calling.command(before, after)
    return ChildSpec("child", "worker", command, os.environ, at_once, grace_s=30)


def supervising(spec: ChildSpec, heard: Heard, pipe: int) -> Supervisor:
    return Supervisor([spec], pipe, heard, QUICK)


async def test_a_child_that_dies_is_started_again(calling: ChildProbes, heard: Heard) -> None:
    """After a kill there is another process, what happened is said, and the pids are the new ones."""
    with parent_pipe() as pipe:
        async with supervising(child(calling), heard, pipe) as supervisor:
            first = await calling.next()
            await heard.ready_again.get()
            assert supervisor.pids() == {"worker": [first.pid]}
            os.kill(first.pid, signal.SIGKILL)
            second = await calling.next()
            await heard.ready_again.get()
            assert heard.deaths == [("child", "killed by SIGKILL", QUICK.first_s)]
            assert supervisor.pids() == {"worker": [second.pid]}
        await second.gone()


async def test_a_child_may_finish(calling: ChildProbes, heard: Heard) -> None:
    """At the end a child gets SIGTERM and the time to finish, and is not started again."""
    with parent_pipe() as pipe:
        spec = child(calling, after=f"{POLITE}\nline.sendall(b'handled ')\n{FOREVER}")
        async with supervising(spec, heard, pipe):
            only = await calling.next()
            assert await only.hear(len(b"handled ")) == "handled "
        assert await only.said() == "drained"
        assert not heard.deaths


async def test_a_deaf_child_is_killed(calling: ChildProbes, heard: Heard) -> None:
    """A child that ignores SIGTERM is killed after its grace, and what it started with it."""
    grandchild = (
        f"import subprocess\nsubprocess.Popen([sys.executable, '-c', {calling.code(DEAF)!r}])"
    )
    with parent_pipe() as pipe:
        spec = replace(child(calling, before=f"{DEAF}\n{grandchild}"), grace_s=0.05)
        async with supervising(spec, heard, pipe):
            family = [await calling.next(), await calling.next()]
        for member in family:
            await member.gone()


async def test_a_hurried_end_overrides_the_grace(calling: ChildProbes, heard: Heard) -> None:
    """When there is nothing to finish for, a deaf child does not get its own long grace."""
    with parent_pipe() as pipe:
        async with supervising(child(calling, before=DEAF), heard, pipe) as supervisor:
            only = await calling.next()
            supervisor.shorten_grace(0.01)
        await only.gone()


async def test_killing_needs_no_grace(calling: ChildProbes, heard: Heard) -> None:
    """A kill in the middle of the grace ends it."""
    with parent_pipe() as pipe:
        async with supervising(child(calling, before=DEAF), heard, pipe) as supervisor:
            only = await calling.next()
            asyncio.get_running_loop().call_later(0.05, supervisor.kill)
        await only.gone()


async def test_a_child_has_a_session_of_its_own(calling: ChildProbes, heard: Heard) -> None:
    """A terminal's Ctrl-C does not reach the children."""
    with parent_pipe() as pipe:
        async with supervising(child(calling), heard, pipe):
            only = await calling.next()
            assert os.getsid(only.pid) == only.pid


async def test_a_child_that_cannot_start_is_given_up(heard: Heard) -> None:
    """A child that ends again and again before it was ever ready is an error that says how it ended."""
    command = [sys.executable, "-c", "raise SystemExit(3)"]
    spec = ChildSpec("server", "server", lambda _: command, os.environ, never)
    with parent_pipe() as pipe:
        async with supervising(spec, heard, pipe) as supervisor:
            with pytest.raises(CommandFailed, match="server does not start: exit status 3"):
                await supervisor.wait_ready(within_s=60)


async def test_a_child_that_is_never_ready(calling: ChildProbes, heard: Heard) -> None:
    """A child that runs and does not get ready in time is an error that names it."""
    spec = replace(child(calling), ready=never)
    with parent_pipe() as pipe:
        async with supervising(spec, heard, pipe) as supervisor:
            await calling.next()
            with pytest.raises(CommandFailed, match=r"not ready within 0\.01 s: child"):
                await supervisor.wait_ready(within_s=0.01)


async def test_a_childs_words_go_to_its_log(
    tmp_path: Path, calling: ChildProbes, heard: Heard
) -> None:
    """A child with a log says everything there, on both streams."""
    log = tmp_path / "child.log"
    says = "print('out', flush=True)\nprint('err', file=sys.stderr, flush=True)"
    spec = replace(child(calling, before=says), log=log)
    with parent_pipe() as pipe:
        async with supervising(spec, heard, pipe):
            await calling.next()
    assert await asyncio.to_thread(log.read_text) == "out\nerr\n"


async def test_no_child_outlives_a_killed_parent(tmp_path: Path, calling: ChildProbes) -> None:
    """When the parent is killed by SIGKILL, all its children leave."""
    await asyncio.to_thread((tmp_path / "calling.py").write_text, calling.code())
    path = os.pathsep.join([str(ROOT), str(tmp_path), os.environ.get("PYTHONPATH", "")])
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, cwd=ROOT, env={**os.environ, "PYTHONPATH": path}
    )
    children = [await calling.next(), await calling.next()]
    parent.kill()
    assert await parent.wait() == -signal.SIGKILL
    for each in children:
        await each.gone()
        assert each.pid != parent.pid


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, "exit status 0"),
        (2, "exit status 2"),
        (-9, "killed by SIGKILL"),
        (-99, "killed by signal 99"),
    ],
)
def test_how_a_process_ended(code: int, words: str) -> None:
    """An end is told by its exit status or its signal's name."""
    assert describe_exit(code) == words
