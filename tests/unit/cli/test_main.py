"""The command line: usage errors, exit codes, one line on stderr."""

import re
import socket
from pathlib import Path

import pytest

from cli.client.client import RetryPolicy
from cli.main import run
from core.resilience.backoff import Backoff

NO_ID = "is not a request id: that is a UUID, 32 hexadecimal digits in five groups"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["submit"], "nothing to submit: give a URL, or --file"),
        (["submit", "--file", "/dev/null"], "nothing to submit: no URL in /dev/null"),
        (["submit", "--file", "/no/such"], "--file /no/such: No such file or directory"),
        (
            ["submit", "--request-id", "x", "http://a/", "http://b/"],
            "--request-id goes with exactly one URL",
        ),
        (["submit", "http://a/", "--address", "nowhere"], "--address nowhere: not HOST:PORT"),
        (
            ["submit", "http://a/", "--address", "localhost:99999"],
            "--address localhost:99999: the port is larger than 65535",
        ),
        (["submit", "-"], "- is not a URL; for URLs from standard input give --file -"),
        (
            ["submit", "http://a/", "--customer", ""],
            "--customer '': not 1 to 128 of letters, digits, and the characters _ . : -",
        ),
        (["submit", "http://a/", "--request-id", "xx"], f"xx {NO_ID}"),
        (
            ["submit", "http://a/", "--label", "logos"],
            "--label logos: not KEY=VALUE, or a second value of one key",
        ),
        (["status", "xx"], f"xx {NO_ID}"),
        (["image", "xx"], f"xx {NO_ID.replace('a request', 'an image')}"),
        (
            ["list", "--after", "noon"],
            "--after noon: not a time as in 2026-11-24, or 2026-11-24T09:30:00Z",
        ),
        (
            ["list", "--customer", "a#b"],
            "--customer 'a#b': not 1 to 128 of letters, digits, and the characters _ . : -",
        ),
        (["watch", "6d2f0c1e-3a5b-4a53-9a35-0a4d8f0c2a11", "xx"], f"xx {NO_ID}"),
        (
            ["up", "--name-prefix", "A_"],
            "--name-prefix A_: 2 to 31 of a-z, 0-9 and hyphen, beginning with a letter.",
        ),
        (
            ["reconcile", "--ready-file", "/no/such"],
            "--ready-file /no/such: No such file or directory",
        ),
        (["submit", "--unheard-of"], "No such option: --unheard-of"),
        (["status"], "Missing argument 'ID'."),
        (["watch"], "Missing argument 'ID'."),
        (["nonsense"], "No such command 'nonsense'."),
        (
            ["up", "--allow-network", "10.0.0.1/8"],
            "--allow-network 10.0.0.1/8: 10.0.0.1/8 has host bits set",
        ),
        (
            ["up", "--aws-endpoint", "localhost:1"],
            "--aws-endpoint localhost:1: not an http or https URL",
        ),
        (["up", "--parameter", "Nothing"], "--parameter Nothing: not NAME=VALUE"),
        (
            ["up", "--ready-file", "/no/such/file"],
            "--ready-file /no/such/file: there is no folder /no/such",
        ),
    ],
)
def test_usage_errors(arguments: list[str], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A usage error is one line on stderr and exit 2."""
    assert run(arguments) == 2
    printed = capsys.readouterr()
    assert printed.err == f"imageservice: {line}\n"
    assert not printed.out


def test_a_missing_embedded_aws_names_the_package_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the extra `local`, `up` prints how to install it."""
    monkeypatch.setattr("cli.local.plan.find_spec", lambda _name: None)
    assert run(["up"]) == 2
    assert "pip install -e '.[local]'" in capsys.readouterr().err


def test_a_port_in_use(capsys: pytest.CaptureFixture[str]) -> None:
    """`up` on a port that is in use starts nothing and prints the port."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        assert run(["up", "--address", address, "--aws-endpoint", "http://127.0.0.1:1"]) == 2
    line = capsys.readouterr().err
    assert line.startswith(f"imageservice: cannot use {address} for the gRPC server: ")
    assert line.count("\n") == 1


def test_an_unreachable_server(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the last attempt, it is one line on stderr and exit 1. The address may come from the environment."""
    monkeypatch.setenv("IMAGESERVICE_ADDRESS", "127.0.0.1:1")
    quick = RetryPolicy(backoff=Backoff(0.001, 0.01))
    monkeypatch.setattr("cli.client.client.RetryPolicy", lambda: quick)
    assert run(["status", "6d2f0c1e-3a5b-4a53-9a35-0a4d8f0c2a11"]) == 1
    waiting, line = capsys.readouterr().err.splitlines()
    assert waiting == "imageservice: no server at 127.0.0.1:1 yet, trying again"
    assert re.fullmatch(r"imageservice: UNAVAILABLE: no server answers at 127\.0\.0\.1:1 .*", line)


def test_version(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """`--version` prints the version of the distribution."""
    monkeypatch.setattr("cli.main.version", lambda name: f"1.2.3 of {name}")
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == "imageservice 1.2.3 of imageservice-app\n"


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` lists every command."""
    assert run(["--help"]) == 0
    printed = capsys.readouterr().out
    for command in ("up", "submit", "status", "watch", "reconcile", "retry-failed", "reindex"):
        assert re.search(rf"\b{command}\b", printed)


def test_an_error_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also if a file name in it contains a newline or an escape character."""
    assert run(["submit", "--file", str(tmp_path / "a\nb\x1b[31m")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("command", ["submit", "status", "watch"])
def test_flags_take_no_value(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Help shows no value for a flag."""
    assert run([command, "--help"]) == 0
    printed = capsys.readouterr().out
    assert "--json" in printed
    assert "bool" not in printed


def test_an_unknown_parameter(capsys: pytest.CaptureFixture[str]) -> None:
    """A parameter that the template does not have is a usage error that lists the parameters of the template."""
    assert run(["up", "--parameter", "MaxRecieveCount=3"]) == 2
    line = capsys.readouterr().err
    assert line.startswith("imageservice: --parameter MaxRecieveCount: core/stack.yaml has only ")
    assert "MaxReceiveCount" in line
