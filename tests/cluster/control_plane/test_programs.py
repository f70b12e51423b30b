"""Error messages if the control plane cannot be started."""

import shutil
from pathlib import Path

import pytest

from cluster.control_plane.binaries import ETCD, BuildFailed
from cluster.control_plane.program import ControlPlaneFailed, Program

SHELL = Path(shutil.which("sh") or "/bin/sh")


async def test_a_program_that_ends_is_reported_with_the_end_of_its_log(tmp_path: Path) -> None:
    program = await _start("echo the disk is full; exit 3", tmp_path)
    with pytest.raises(ControlPlaneFailed, match=r"it ended before.*\n?.*the disk is full"):
        await program.answers("http://127.0.0.1:9/")


async def test_a_program_that_does_not_answer_is_reported_with_the_end_of_its_log(
    tmp_path: Path,
) -> None:
    program = await _start("echo still waiting; exec sleep 60", tmp_path)

    async def has_written() -> bool:
        return "still waiting" in await program.log_tail()

    await program.until(has_written, "write", seconds=10)
    try:
        with pytest.raises(ControlPlaneFailed, match=r"not answer.*still waiting"):
            await program.answers("http://127.0.0.1:9/", seconds=0)
    finally:
        await program.stop()
    assert program.process.returncode is not None


def test_go_is_named_when_it_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BuildFailed, match="go is not installed"):
        ETCD.source()


async def _start(script: str, folder: Path) -> Program:
    return await Program.start(SHELL, "-c", script, name="it", logs=folder, environment={})
