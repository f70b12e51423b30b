"""Outcomes as people and programs read them."""

import io
import json

import pytest
from rich.console import Console

from cli.outcome import Outcome, printable
from cli.report import JsonReport, LineReport, ProgressReport
from cli.rpc_fault import RpcFault, Violation
from harness.scripted_service import completed, failed

URL = "http://origin/a.png"
ID = "6d2f0c1e-3a5b-4a53-9a35-0a4d8f0c2a11"
KEYS = ["request_id", "url", "state", "public_url", "failure_code", "metadata"]
REFUSED = Outcome(
    ID,
    URL,
    error=RpcFault(
        "INVALID_ARGUMENT", "INVALID_REQUEST", "Broken.", (Violation("url", "Too long."),)
    ),
)
PENDING = Outcome(ID, URL, state="PENDING")
COMPLETED = Outcome.of(completed(URL, ID))
FAILED = Outcome.of(failed(URL, ID))


@pytest.mark.parametrize("outcome", [PENDING, COMPLETED, FAILED])
def test_json_has_the_same_keys_for_every_state(outcome: Outcome) -> None:
    """A program finds every key whatever became of the request; `error` only where the call was refused."""
    assert list(json.loads(outcome.as_json())) == KEYS


def test_json_of_a_completed_request() -> None:
    """The public URL and the metadata, sizes as numbers and empty fields included."""
    told = json.loads(COMPLETED.as_json())
    assert told["state"] == "COMPLETED"
    assert told["public_url"] == "http://cdn/images/aa/tag/0123.png"
    assert told["failure_code"] is None
    assert told["metadata"]["bytes"] == 5_000_000_000
    assert told["metadata"]["had_location"] is False


def test_json_of_a_failed_request() -> None:
    """The failure's code without the contract's prefix, and neither URL nor metadata."""
    told = json.loads(FAILED.as_json())
    assert told == dict.fromkeys(KEYS) | {
        "request_id": ID,
        "url": URL,
        "state": "FAILED",
        "failure_code": "NOT_FOUND",
    }


def test_json_of_a_refused_call() -> None:
    """No state, and the error with its reason and fields."""
    told = json.loads(REFUSED.as_json())
    assert told["state"] is None
    assert told["error"] == {
        "reason": "INVALID_REQUEST",
        "code": "INVALID_ARGUMENT",
        "message": "Broken.",
        "violations": [{"field": "url", "description": "Too long."}],
    }


@pytest.mark.parametrize(
    ("outcome", "line", "bad"),
    [
        (PENDING, f"PENDING    {ID}  {URL}", False),
        (COMPLETED, f"COMPLETED  {ID}  http://cdn/images/aa/tag/0123.png", False),
        (FAILED, f"FAILED     {ID}  {URL}  NOT_FOUND: Nothing there", True),
        (REFUSED, f"REFUSED    {URL}  INVALID_REQUEST: url: Too long.", True),
    ],
)
def test_lines(outcome: Outcome, line: str, bad: bool) -> None:
    """A line says the state, the id, and the public URL or the reason."""
    assert outcome.as_text() == line
    assert outcome.bad is bad


def test_terminals_are_not_commanded() -> None:
    """Control characters of a stranger's URL or message are shown, not obeyed."""
    assert printable("a\x1b[31mb\nc ä") == "a\\x1b[31mb\\nc ä"


def test_a_line_in_a_pipe_is_plain() -> None:
    """In a pipe a long line stays one line, without control codes and markup."""
    file = io.StringIO()
    outcome = Outcome(ID, f"http://origin/[bold]{'x' * 300}", state="PENDING")
    LineReport(Console(file=file)).tell(outcome)
    assert file.getvalue() == outcome.as_text() + "\n"


def test_json_lines() -> None:
    """One object a line, whatever the URL holds."""
    file = io.StringIO()
    report = JsonReport(file)
    for url in ("http://a/\n", "http://ä/"):
        report.tell(Outcome(ID, url, state="PENDING"))
    assert [json.loads(line)["url"] for line in file.getvalue().splitlines()] == [
        "http://a/\n",
        "http://ä/",
    ]


@pytest.mark.parametrize(("only_bad", "lines"), [(True, 1), (False, 2)])
def test_a_bar_shows_what_went_wrong(only_bad: bool, lines: int) -> None:
    """Above the bar stands a line for each outcome that went wrong, and for the others where asked to."""
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=300)
    report = ProgressReport(console, total=2, only_bad=only_bad)
    with report.shown():
        report.tell(FAILED)
        report.tell(COMPLETED)
    assert sum(ID in line for line in file.getvalue().splitlines()) == lines
    assert "2/2" in file.getvalue()
    assert "1 failed" in file.getvalue()
