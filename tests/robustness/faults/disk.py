"""A small disk that can be full: a tmpfs, which only root can mount."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

_SIZE = "3m"
_BLOCK = bytes(4_096)


@dataclass(frozen=True, slots=True)
class SmallDisk:
    folder: Path

    @property
    def _filler(self) -> Path:
        return self.folder / "filler"

    def fill(self) -> None:
        """Write until no space is left."""
        with self._filler.open("wb", buffering=0) as filler:
            try:
                while filler.write(_BLOCK):
                    pass
            except OSError:
                return

    def free(self) -> None:
        self._filler.unlink()


def can_mount() -> bool:
    return os.geteuid() == 0


async def _run(*command: str) -> None:
    process = await asyncio.create_subprocess_exec(*command)
    assert await process.wait() == 0, command


@asynccontextmanager
async def small_disk(folder: Path) -> AsyncIterator[SmallDisk]:
    """Mount a disk of 3 MiB at `folder` for the block."""
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    await _run("mount", "-t", "tmpfs", "-o", f"size={_SIZE}", "robustness", str(folder))
    try:
        yield SmallDisk(folder)
    finally:
        await _run("umount", str(folder))
