"""The commands for operators: the CLI replaces its process with `python -m consumer COMMAND`."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from cli.main import run


class Replaced(Exception):
    """Raised in place of the process replacement."""


@dataclass(slots=True)
class Exec:
    command: list[str]
    environment: dict[str, str]

    def __call__(
        self, executable: str, command: Sequence[str], environment: Mapping[str, str]
    ) -> None:
        assert executable == sys.executable
        self.command, self.environment = list(command), dict(environment)
        raise Replaced


@pytest.fixture
def executed(monkeypatch: pytest.MonkeyPatch) -> Exec:
    replace = Exec([], {})
    monkeypatch.setattr("cli.commands.jobs.os.execve", replace)
    return replace


@pytest.mark.parametrize(
    ("given", "consumer"),
    [
        (
            ["reconcile", "--margin", "60", "--rate=10"],
            ["reconcile", "--margin", "60", "--rate=10"],
        ),
        (["retry-failed", "--customer", "acme"], ["retry-failed", "--customer", "acme"]),
        (["redrive", "--since=-1", "-x", "word"], ["retry-failed", "--since=-1", "-x", "word"]),
        (["reindex", "--bogus"], ["reindex", "--bogus"]),
        (["reindex", "--help"], ["reindex", "--help"]),
    ],
)
def test_arguments_are_passed_through(
    given: list[str], consumer: list[str], executed: Exec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the consumer declares and checks them."""
    monkeypatch.setenv("REQUESTS_TABLE", "requests")
    with pytest.raises(Replaced):
        run(given)
    assert executed.command == [sys.executable, "-m", "consumer", *consumer]


@pytest.mark.parametrize(
    ("command", "role"),
    [("reconcile", "operator"), ("retry-failed", "operator"), ("reindex", "indexer")],
)
def test_settings_come_from_a_ready_file(
    command: str, role: str, tmp_path: Path, executed: Exec, capsys: pytest.CaptureFixture[str]
) -> None:
    """The option may be at any position and is not passed on."""
    ready = tmp_path / "ready.json"
    ready.write_text(json.dumps({"environment": {"REQUESTS_TABLE": "t", "QUEUE_URL": "q"}}))
    with pytest.raises(Replaced):
        run([command, "--rate", "5", "--ready-file", str(ready)])
    assert executed.command[3:] == [command, "--rate", "5"]
    assert executed.environment["QUEUE_URL"] == "q"
    assert executed.environment["AWS_ACCESS_KEY_ID"] == role
    assert not capsys.readouterr().err


def test_missing_settings_come_with_a_hint(
    executed: Exec, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The consumer then names every variable."""
    monkeypatch.delenv("REQUESTS_TABLE", raising=False)
    with pytest.raises(Replaced):
        run(["reconcile"])
    hint = capsys.readouterr().err
    assert "--ready-file" in hint
    assert hint.count("\n") == 1
    assert executed.command[-1] == "reconcile"


@pytest.mark.parametrize("command", ["reconcile", "retry-failed", "redrive", "reindex"])
@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_mentions_the_ready_file(
    command: str,
    option: str,
    executed: Exec,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The other options come from the consumer's help."""
    with pytest.raises(Replaced):
        run([command, option])
    assert "--ready-file PATH" in capsys.readouterr().out
    assert executed.command[-1] == option
