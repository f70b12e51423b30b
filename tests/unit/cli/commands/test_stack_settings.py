"""Files that kustomize reads: whole, or not at all."""

import stat
from pathlib import Path

import pytest

from cli.commands.stack_settings import EnvFile, read, write
from cli.errors import CommandFailed


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """Comments and empty lines are somebody's own, and an equals sign may be part of a value."""
    path = tmp_path / "stack.env"
    write(EnvFile(path, {"A": "b=c", "D": ""}, mode=0o644))
    path.write_text(f"# mine\n\n{path.read_text()}")
    assert read(path) == {"A": "b=c", "D": ""}
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


@pytest.mark.parametrize("value", ["two\nlines", "ended\n", " padded", "nul\0"])
def test_what_one_line_cannot_hold_is_refused_and_nothing_is_written(
    tmp_path: Path, value: str
) -> None:
    """Kustomize would read a second line as another variable."""
    files = (
        EnvFile(tmp_path / "a.env", {"A": "a"}, mode=0o644),
        EnvFile(tmp_path / "b.env", {"KEY": value}, mode=0o600),
    )
    with pytest.raises(CommandFailed, match="KEY"):
        write(*files)
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_moved_leaves_nothing_behind(tmp_path: Path) -> None:
    """A secret does not stay under a name that nobody knows."""
    (tmp_path / "taken.env").mkdir()
    with pytest.raises(OSError, match="directory"):
        write(EnvFile(tmp_path / "taken.env", {"A": "a"}, mode=0o600))
    assert [path.name for path in tmp_path.iterdir()] == ["taken.env"]
