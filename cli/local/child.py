"""One child of the local system: what is started, and when it counts as ready."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.runtime.child_process import ChildProcess
from core.runtime.parent_watch import watched_command


@dataclass(frozen=True, slots=True)
class ChildSpec:
    name: str
    """For people: "consumer 2"."""
    role: str
    """For programs: "consumer"."""
    command: Callable[[int], Sequence[str]]
    """Returns the command for the reading end of the parent pipe."""
    environment: Mapping[str, str]
    ready: Callable[[], Awaitable[None]]
    """Returns once the child does its work; it need not notice that the child died."""
    grace_s: float = 10.0
    """Seconds from SIGTERM to SIGKILL."""
    log: Path | None = None
    """Receives both output streams; None leaves them on the terminal."""

    async def start(self, parent_pipe: int) -> ChildProcess:
        """Start the child. Raises OSError."""
        command = self.command(parent_pipe)
        return await ChildProcess.start(command, self.environment, parent_pipe, self.log)


def watched(module: str, *arguments: str) -> Callable[[int], Sequence[str]]:
    """Return the command of a Python module that ends when its parent has gone."""

    def command(parent_pipe: int) -> Sequence[str]:
        return watched_command(parent_pipe, module, *arguments)

    return command
