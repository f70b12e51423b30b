"""Outcomes as people and programs read them."""

import io
import json

import pytest
from rich.console import Console

from cli.errors import OutputClosed
from cli.output.outcome import Outcome, printable
from cli.output.report import JsonReport, LineReport, Output, ProgressReport
from cli.output.tally import Tally
from cli.output.text import folded
from cli.rpc_error import RpcFault, Violation
from harness.scripted_service import completed, failed

URL = "http://origin/a.png"
ID = "6d2f0c1e-3a5b-4a53-9a35-0a4d8f0c2a11"
KEYS = ["request_id", "url", "state", "public_url", "failure_code"]
KEYS += ["failure_message", "attempts", "metadata"]
REFUSED = Outcome(
    ID,
    URL,
    error=RpcFault(
        "INVALID_ARGUMENT", "INVALID_REQUEST", "Broken.", (Violation("url", "Too long."),)
    ),
)
PENDING = Outcome(ID, URL, state="PENDING")
GONE = RpcFault("UNAVAILABLE", "UNAVAILABLE", "Gone")
LOST = Outcome(ID, URL, state="PENDING", error=GONE)
UNKNOWN = Outcome(ID, URL, error=GONE)
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
        "failure_message": "Nothing there",
        "attempts": 1,
    }


def test_json_with_the_record() -> None:
    """Status and watch tell all that the service keeps of the request as well."""
    request = completed(URL, ID)
    request.customer_id = "acme"
    request.image.image_id = "an image"
    request.labels["shop"] = "1"
    request.create_time.FromSeconds(0)
    request.update_time.FromSeconds(1)
    told = json.loads(Outcome.with_record(request).as_json())
    assert {key: told[key] for key in told if key not in KEYS} == {
        "customer_id": "acme",
        "image_id": "an image",
        "labels": {"shop": "1"},
        "create_time": "1970-01-01T00:00:00Z",
        "update_time": "1970-01-01T00:00:01Z",
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
        (COMPLETED, f"COMPLETED  {ID}  {URL} → http://cdn/images/aa/tag/0123.png", False),
        (FAILED, f"FAILED     {ID}  {URL}  NOT_FOUND: Nothing there", True),
        (LOST, f"PENDING    {ID}  {URL}  lost sight of it: UNAVAILABLE: Gone", True),
        (UNKNOWN, f"UNKNOWN    {ID}  {URL}  UNAVAILABLE: Gone", True),
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


def test_a_bar_shows_what_went_wrong() -> None:
    """Above the bar stands a line for each outcome; the bar ends at the total and counts each kind of trouble apart."""
    file, tally = io.StringIO(), Tally(read=4, all_read=True)
    report = ProgressReport(Console(file=file, force_terminal=True, width=300), tally, None)
    with report.shown():
        for outcome in (FAILED, COMPLETED, REFUSED, LOST):
            tally.count(outcome)
            report.tell(outcome)
    assert sum(URL in line for line in file.getvalue().splitlines()) == 4
    assert "4/4" in file.getvalue()
    assert "1 failed, 1 refused, 1 unknown" in file.getvalue()


def test_a_line_is_folded_between_words() -> None:
    """On a terminal a URL that is longer than a line is kept whole, and what follows is indented."""
    file = io.StringIO()
    url = f"http://origin/{'x-' * 60}"
    LineReport(Console(file=file, force_terminal=True, width=80)).tell(Outcome(ID, url, "PENDING"))
    assert file.getvalue().splitlines()[1] == f"  {url}"
    assert folded("the gRPC server is here", 20) == "the gRPC server is\n  here"


class ClosedPipe(io.StringIO):
    def write(self, text: str) -> int:
        del text
        raise BrokenPipeError


@pytest.mark.parametrize(
    "report", [LineReport(Output(file=ClosedPipe())), JsonReport(ClosedPipe())]
)
def test_a_reader_that_has_gone_ends_the_command(report: LineReport | JsonReport) -> None:
    """Output that nobody reads any more is an ordinary error, which tasks and groups carry."""
    with pytest.raises(OutputClosed):
        report.tell(PENDING)
