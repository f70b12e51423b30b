"""Env files for kustomize are written completely or not at all."""

import stat
from pathlib import Path

import pytest

from cli.commands.stack_settings import EnvFile, read, write
from cli.errors import CommandFailed


def test_a_written_file_can_be_read(tmp_path: Path) -> None:
    """Comments and empty lines are ignored. A value may contain an equals sign."""
    path = tmp_path / "stack.env"
    write(EnvFile(path, {"A": "b=c", "D": ""}, mode=0o644))
    path.write_text(f"# mine\n\n{path.read_text()}")
    assert read(path) == {"A": "b=c", "D": ""}
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


@pytest.mark.parametrize("value", ["two\nlines", "ended\n", " padded", "nul\0"])
def test_a_value_that_does_not_fit_into_one_line_is_refused(tmp_path: Path, value: str) -> None:
    """Kustomize would read a second line as another variable. Nothing is written."""
    files = (
        EnvFile(tmp_path / "a.env", {"A": "a"}, mode=0o644),
        EnvFile(tmp_path / "b.env", {"KEY": value}, mode=0o600),
    )
    with pytest.raises(CommandFailed, match="KEY"):
        write(*files)
    assert not list(tmp_path.iterdir())


def test_a_failed_rename_leaves_no_temporary_file(tmp_path: Path) -> None:
    """A secret does not stay on disk under a temporary name."""
    (tmp_path / "taken.env").mkdir()
    with pytest.raises(OSError, match="directory"):
        write(EnvFile(tmp_path / "taken.env", {"A": "a"}, mode=0o600))
    assert [path.name for path in tmp_path.iterdir()] == ["taken.env"]
