"""The supervisor restarts children, stops them gracefully and leaves none behind. With real processes."""

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
IGNORE_SIGTERM = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"
EXIT_ON_SIGTERM = (
    "signal.signal(signal.SIGTERM, lambda *_: (line.sendall(b'drained'), sys.exit(0)))"
)
PARENT = """\
import asyncio, os
from cli.local.child import ChildSpec, watched
from core.runtime.parent_watch import parent_pipe
from cli.local.supervisor import Supervisor

class NoObserver:
    def ready(self, spec): pass
    def died(self, spec, how, delay_s): pass

async def ready(): pass

async def main():
    specs = [ChildSpec(f"child {n}", "child", watched("probe"), os.environ, ready) for n in range(2)]
    with parent_pipe() as pipe:
        async with Supervisor(specs, pipe, NoObserver()):
            await asyncio.Event().wait()

asyncio.run(main())
"""


@dataclass
class RecordingObserver:
    """Records the events of the supervisor."""

    deaths: list[tuple[str, str, float]] = field(default_factory=list)
    ready_again: asyncio.Queue[str] = field(default_factory=asyncio.Queue)

    def ready(self, spec: ChildSpec) -> None:
        self.ready_again.put_nowait(spec.name)

    def died(self, spec: ChildSpec, how: str, delay_s: float) -> None:
        self.deaths.append((spec.name, how, delay_s))


@pytest.fixture
async def probes() -> AsyncIterator[ChildProbes]:
    async with child_probes() as listening:
        yield listening


@pytest.fixture
def observer() -> RecordingObserver:
    return RecordingObserver()


async def at_once() -> None:
    pass


async def never() -> None:
    await asyncio.Event().wait()


def child(probes: ChildProbes, before: str = "", after: str = FOREVER) -> ChildSpec:
    command = probes.command(before, after)
    return ChildSpec("child", "worker", command, os.environ, at_once, grace_s=30)


def supervising(spec: ChildSpec, observer: RecordingObserver, pipe: int) -> Supervisor:
    return Supervisor([spec], pipe, observer, QUICK)


async def test_a_killed_child_is_restarted(
    probes: ChildProbes, observer: RecordingObserver
) -> None:
    """There is a new process, the observer gets the signal, and `pids` returns the new pid."""
    with parent_pipe() as pipe:
        async with supervising(child(probes), observer, pipe) as supervisor:
            first = await probes.next()
            await observer.ready_again.get()
            assert supervisor.pids() == {"worker": [first.pid]}
            os.kill(first.pid, signal.SIGKILL)
            second = await probes.next()
            await observer.ready_again.get()
            assert observer.deaths == [("child", "killed by SIGKILL", QUICK.first_s)]
            assert supervisor.pids() == {"worker": [second.pid]}
        await second.wait_closed()


async def test_a_child_is_stopped_gracefully(
    probes: ChildProbes, observer: RecordingObserver
) -> None:
    """It gets SIGTERM and its grace period, and is not restarted."""
    with parent_pipe() as pipe:
        spec = child(probes, after=f"{EXIT_ON_SIGTERM}\nline.sendall(b'handled ')\n{FOREVER}")
        async with supervising(spec, observer, pipe):
            only = await probes.next()
            assert await only.read(len(b"handled ")) == "handled "
        assert await only.read_all() == "drained"
        assert not observer.deaths


async def test_a_child_that_ignores_sigterm_is_killed(
    probes: ChildProbes, observer: RecordingObserver
) -> None:
    """After its grace period, together with its own children."""
    code = probes.code(IGNORE_SIGTERM)
    grandchild = f"import subprocess\nsubprocess.Popen([sys.executable, '-c', {code!r}])"
    with parent_pipe() as pipe:
        spec = replace(child(probes, before=f"{IGNORE_SIGTERM}\n{grandchild}"), grace_s=0.05)
        async with supervising(spec, observer, pipe):
            processes = [await probes.next(), await probes.next()]
        for each in processes:
            await each.wait_closed()


async def test_the_grace_period_can_be_shortened(
    probes: ChildProbes, observer: RecordingObserver
) -> None:
    """The shorter value replaces the grace period of the child."""
    with parent_pipe() as pipe:
        async with supervising(child(probes, before=IGNORE_SIGTERM), observer, pipe) as supervisor:
            only = await probes.next()
            supervisor.shorten_grace(0.01)
        await only.wait_closed()


async def test_kill_ends_the_grace_period(probes: ChildProbes, observer: RecordingObserver) -> None:
    """Children are killed at once."""
    with parent_pipe() as pipe:
        async with supervising(child(probes, before=IGNORE_SIGTERM), observer, pipe) as supervisor:
            only = await probes.next()
            asyncio.get_running_loop().call_later(0.05, supervisor.kill)
        await only.wait_closed()


async def test_a_child_has_its_own_session(
    probes: ChildProbes, observer: RecordingObserver
) -> None:
    """Ctrl-C in a terminal does not reach the children."""
    with parent_pipe() as pipe:
        async with supervising(child(probes), observer, pipe):
            only = await probes.next()
            assert os.getsid(only.pid) == only.pid


async def test_a_child_that_cannot_start_is_an_error(observer: RecordingObserver) -> None:
    """If a child ends repeatedly before it is ready, the error has its exit status."""
    command = [sys.executable, "-c", "raise SystemExit(3)"]
    spec = ChildSpec("server", "server", lambda _: command, os.environ, never)
    with parent_pipe() as pipe:
        async with supervising(spec, observer, pipe) as supervisor:
            with pytest.raises(CommandFailed, match="server does not start: exit status 3"):
                await supervisor.wait_ready(within_s=60)


async def test_a_child_that_is_never_ready(
    probes: ChildProbes, observer: RecordingObserver
) -> None:
    """The error names the child."""
    spec = replace(child(probes), ready=never)
    with parent_pipe() as pipe:
        async with supervising(spec, observer, pipe) as supervisor:
            await probes.next()
            with pytest.raises(CommandFailed, match=r"not ready within 0\.01 s: child"):
                await supervisor.wait_ready(within_s=0.01)


async def test_the_output_of_a_child_goes_to_its_log(
    tmp_path: Path, probes: ChildProbes, observer: RecordingObserver
) -> None:
    """Both streams go there."""
    log = tmp_path / "child.log"
    output = "print('out', flush=True)\nprint('err', file=sys.stderr, flush=True)"
    spec = replace(child(probes, before=output), log=log)
    with parent_pipe() as pipe:
        async with supervising(spec, observer, pipe):
            await probes.next()
    assert await asyncio.to_thread(log.read_text) == "out\nerr\n"


async def test_no_child_outlives_a_killed_parent(tmp_path: Path, probes: ChildProbes) -> None:
    """If the parent is killed by SIGKILL, all its children exit."""
    await asyncio.to_thread((tmp_path / "probe.py").write_text, probes.code())
    path = os.pathsep.join([str(ROOT), str(tmp_path), os.environ.get("PYTHONPATH", "")])
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, cwd=ROOT, env={**os.environ, "PYTHONPATH": path}
    )
    children = [await probes.next(), await probes.next()]
    parent.kill()
    assert await parent.wait() == -signal.SIGKILL
    for each in children:
        await each.wait_closed()
        assert each.pid != parent.pid


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (0, "exit status 0"),
        (2, "exit status 2"),
        (-9, "killed by SIGKILL"),
        (-99, "killed by signal 99"),
    ],
)
def test_describe_exit(code: int, text: str) -> None:
    """It names the exit status or the signal."""
    assert describe_exit(code) == text
