"""Request views as text and as JSON."""

import io
import json
from typing import cast

import pytest
from rich.console import Console

from cli.errors import OutputClosed
from cli.output.outcome import RequestView, escape_control
from cli.output.report import JsonReport, Output, ProgressReport, TextReport
from cli.output.stats import SubmitStats
from cli.output.text import wrap
from cli.rpc_error import RpcError, Violation
from harness.scripted_service import completed, failed
from imageservice.v1 import image_service_pb2 as pb

URL = "http://origin/a.png"
ID = "6d2f0c1e-3a5b-4a53-9a35-0a4d8f0c2a11"
KEYS = ["request_id", "url", "state", "public_url", "failure_code"]
KEYS += ["failure_message", "attempts", "metadata", "renditions"]
REFUSED = RequestView(
    ID,
    URL,
    error=RpcError(
        "INVALID_ARGUMENT", "INVALID_REQUEST", "Broken.", (Violation("url", "Too long."),)
    ),
)
PENDING = RequestView(ID, URL, state="PENDING")
GONE = RpcError("UNAVAILABLE", "UNAVAILABLE", "Gone")
LOST = RequestView(ID, URL, state="PENDING", error=GONE)
UNKNOWN = RequestView(ID, URL, error=GONE)
COMPLETED = RequestView.of(completed(URL, ID))
FAILED = RequestView.of(failed(URL, ID))


@pytest.mark.parametrize("outcome", [PENDING, COMPLETED, FAILED])
def test_json_has_the_same_keys_for_every_state(outcome: RequestView) -> None:
    """Every key is present in every state. Only `error` depends: it is present if the call was refused."""
    assert list(json.loads(outcome.to_json())) == KEYS


def test_json_of_a_completed_request() -> None:
    """It has the public URL and all metadata: sizes as numbers, and empty fields too."""
    reported = json.loads(COMPLETED.to_json())
    assert reported["state"] == "COMPLETED"
    assert reported["public_url"] == "http://cdn/images/aa/tag/0123.png"
    assert reported["failure_code"] is None
    assert reported["metadata"]["bytes"] == 5_000_000_000
    assert reported["metadata"]["had_location"] is False


def test_json_of_the_metadata_names_enums_without_their_prefix() -> None:
    """Each key is there without a value too. A number that only a newer service knows is unspecified."""
    still = RequestView.of(completed(URL, ID)).metadata
    assert still is not None
    assert [still[key] for key in ("animation_duration", "color", "removed")] == [None, None, []]
    request = completed(URL, ID)
    request.image.metadata.animation_duration.FromMilliseconds(1_250)
    request.image.metadata.color = pb.COLOR_RED
    newer = cast("pb.RemovedPart.ValueType", 99)
    request.image.metadata.removed.extend([pb.REMOVED_PART_GAIN_MAP, newer])
    animated = RequestView.of(request).metadata
    assert animated is not None
    assert animated["animation_duration"] == "1.250s"
    assert animated["color"] == "RED"
    assert animated["removed"] == ["GAIN_MAP", "UNSPECIFIED"]


def test_json_of_a_failed_request() -> None:
    """It has the failure code without its prefix, and neither public URL nor metadata."""
    reported = json.loads(FAILED.to_json())
    assert reported == dict.fromkeys(KEYS) | {
        "request_id": ID,
        "url": URL,
        "state": "FAILED",
        "failure_code": "NOT_FOUND",
        "failure_message": "Nothing there",
        "attempts": 1,
    }


def test_json_with_details() -> None:
    """Status and watch print all fields of the request."""
    request = completed(URL, ID)
    request.customer_id = "acme"
    request.image.image_id = "an image"
    request.labels["shop"] = "1"
    request.create_time.FromSeconds(0)
    request.update_time.FromSeconds(1)
    reported = json.loads(RequestView.with_details(request).to_json())
    assert {key: reported[key] for key in reported if key not in KEYS} == {
        "customer_id": "acme",
        "image_id": "an image",
        "labels": {"shop": "1"},
        "create_time": "1970-01-01T00:00:00Z",
        "update_time": "1970-01-01T00:00:01Z",
    }


def test_json_of_a_refused_call() -> None:
    """It has no state, and the error with its reason and violations."""
    reported = json.loads(REFUSED.to_json())
    assert reported["state"] is None
    assert reported["error"] == {
        "reason": "INVALID_REQUEST",
        "code": "INVALID_ARGUMENT",
        "message": "Broken.",
        "violations": [{"field": "url", "description": "Too long."}],
    }


@pytest.mark.parametrize(
    ("outcome", "line", "is_error"),
    [
        (PENDING, f"PENDING    {ID}  {URL}", False),
        (COMPLETED, f"COMPLETED  {ID}  {URL} → http://cdn/images/aa/tag/0123.png", False),
        (FAILED, f"FAILED     {ID}  {URL}  NOT_FOUND: Nothing there", True),
        (LOST, f"PENDING    {ID}  {URL}  watch interrupted: UNAVAILABLE: Gone", True),
        (UNKNOWN, f"UNKNOWN    {ID}  {URL}  UNAVAILABLE: Gone", True),
        (REFUSED, f"REFUSED    {URL}  INVALID_REQUEST: url: Too long.", True),
    ],
)
def test_text_of_each_state(outcome: RequestView, line: str, is_error: bool) -> None:
    """The line has the state, the id, and the public URL or the reason."""
    assert outcome.to_text() == line
    assert outcome.is_error is is_error


def test_control_characters_are_escaped() -> None:
    """A terminal shows the control characters of a foreign URL or message instead of executing them."""
    assert escape_control("a\x1b[31mb\nc ä") == "a\\x1b[31mb\\nc ä"


def test_text_for_a_pipe_is_plain() -> None:
    """A long line is not wrapped and has no control codes and no markup."""
    file = io.StringIO()
    outcome = RequestView(ID, f"http://origin/[bold]{'x' * 300}", state="PENDING")
    TextReport(Console(file=file)).report(outcome)
    assert file.getvalue() == outcome.to_text() + "\n"


def test_json_output_has_one_object_per_line() -> None:
    """Also if the URL contains a newline."""
    file = io.StringIO()
    report = JsonReport(file)
    for url in ("http://a/\n", "http://ä/"):
        report.report(RequestView(ID, url, state="PENDING"))
    assert [json.loads(line)["url"] for line in file.getvalue().splitlines()] == [
        "http://a/\n",
        "http://ä/",
    ]


def test_the_progress_bar_counts_each_kind_of_error() -> None:
    """A line for each outcome is above the bar. The bar ends at the total."""
    file, stats = io.StringIO(), SubmitStats(read=4, all_read=True)
    report = ProgressReport(Console(file=file, force_terminal=True, width=300), stats, None)
    with report.shown():
        for outcome in (FAILED, COMPLETED, REFUSED, LOST):
            stats.count(outcome)
            report.report(outcome)
    assert sum(URL in line for line in file.getvalue().splitlines()) == 4
    assert "4/4" in file.getvalue()
    assert "1 failed, 1 refused, 1 unknown" in file.getvalue()


def test_text_for_a_terminal_is_wrapped_between_words() -> None:
    """A URL that is longer than a line is not broken. Continuation lines are indented."""
    file = io.StringIO()
    url = f"http://origin/{'x-' * 60}"
    TextReport(Console(file=file, force_terminal=True, width=80)).report(
        RequestView(ID, url, "PENDING")
    )
    assert file.getvalue().splitlines()[1] == f"  {url}"
    assert wrap("the gRPC server is here", 20) == "the gRPC server is\n  here"


class ClosedPipe(io.StringIO):
    def write(self, text: str) -> int:
        del text
        raise BrokenPipeError


@pytest.mark.parametrize(
    "report", [TextReport(Output(file=ClosedPipe())), JsonReport(ClosedPipe())]
)
def test_a_closed_pipe_raises_output_closed(report: TextReport | JsonReport) -> None:
    """It is an ordinary exception, so that tasks and task groups propagate it."""
    with pytest.raises(OutputClosed):
        report.report(PENDING)
