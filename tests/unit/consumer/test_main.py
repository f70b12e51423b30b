"""The commands of `python -m consumer`."""

import pytest

from consumer.__main__ import COMMANDS, parser
from consumer.jobs import reconcile, retry_failed
from consumer.worker import app as worker


def test_no_command_is_the_worker() -> None:
    assert parser().parse_args([]).command is worker.COMMAND


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_each_command_is_chosen_by_its_name(command: object) -> None:
    assert parser().parse_args([command.name]).command is command  # type: ignore[attr-defined]


def test_redrive_is_an_alias() -> None:
    """It was the command's name."""
    assert parser().parse_args(["redrive"]).command is retry_failed.COMMAND


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["retry-failed", "--bogus"], "consumer: unrecognized arguments: --bogus"),
        (
            ["redrive", "--rate", "0"],
            "consumer retry-failed: argument --rate: 0 is not above 0",
        ),
        (
            ["reconcile", "--rate", "-1"],
            "consumer reconcile: argument --rate: -1 is not above 0",
        ),
        (
            ["reindex", "--segments", "17"],
            "consumer reindex: argument --segments: 17 is not from 1 to 16",
        ),
    ],
)
def test_a_usage_error_is_one_line(
    arguments: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 2, before any setting is read."""
    with pytest.raises(SystemExit) as ended:
        parser().parse_args(arguments)
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"{line}\n"


def test_defaults_of_reconcile() -> None:
    arguments = parser().parse_args(["reconcile"])
    assert arguments.command is reconcile.COMMAND
    assert (arguments.margin, arguments.max_claims, arguments.segments, arguments.rate) == (
        3_600,
        5,
        4,
        5_000,
    )
