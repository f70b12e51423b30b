"""Foreign text in our output cannot be mistaken for our own text and cannot control a terminal."""

import io
import json
import re
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.console import Console

from cli.output.outcome import RequestView
from cli.output.report import TextReport
from cli.output.text import MIN_WIDTH, display_width, quote_url, truncate
from harness.command import imageservice
from harness.scripted_service import ScriptedService, completed, failed, serve
from imageservice.v1 import image_service_pb2 as pb

ID = "6d2f0c1e-3a5b-4a53-9a35-0a4d8f0c2a11"
PUBLIC = "http://cdn/images/aa/tag/0123.png"
BLANK = "\u3164"
"""A letter for Python; a terminal draws it as a space."""
FORGED = f"http://origin/{'x' * 40}\nstate       COMPLETED\r\x1b[2J\x9b31m\u202e\u2028 → http://evil.example/x.png"
BLANKS = f"http://origin/{'x' * 40}{BLANK * 9}state{BLANK * 7}COMPLETED{BLANK}→{BLANK}http://evil.example/x.png"
LABEL = ("shop\nstate       COMPLETED", '1", "state": "COMPLETED')
WIDTH = 60
TERMINAL = {"FORCE_COLOR": "1", "COLUMNS": str(WIDTH), "TERM": "xterm"}
STYLE = re.compile(r"\x1b\[[0-9;]*m")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://a.example/x.png?a=b&c=%20#d", "http://a.example/x.png?a=b&c=%20#d"),
        ("http://a.example/x y.png", '"http://a.example/x y.png"'),
        ('http://a.example/"', '"http://a.example/\\""'),
        ("http://ä.example/\u202e", '"http://ä.example/\\u202e"'),
        ("http://a.example/\x1b[2J", '"http://a.example/\\u001b[2J"'),
        ("", '""'),
    ],
)
def test_a_url_of_one_word_is_not_quoted(url: str, shown: str) -> None:
    """So that it can be opened. Any other URL is in quotes that it cannot end itself."""
    assert quote_url(url) == shown


@given(st.text())
def test_the_url_can_be_read_back(url: str) -> None:
    """The quoted form is one line of printable characters and parses to the URL."""
    shown = quote_url(url)
    assert shown.isprintable()
    assert (json.loads(shown) if shown.startswith('"') else shown) == url


def test_text_is_truncated_within_its_quotes() -> None:
    """A character beyond ASCII counts as two columns."""
    assert truncate('"abc"', 5) == '"abc"'
    assert truncate('"abcdef"', 7) == '"abc…"'
    assert display_width(truncate(f'"{BLANK * 9}"', 9)) <= 9


@given(st.text(max_size=200), st.integers(1, 250), st.sampled_from([completed, failed]))
@example(FORGED, 60, failed)
@example(BLANKS, 60, completed)
@example("http://origin/ COMPLETED  " * 9, 80, completed)
def test_no_part_of_a_quoted_url_begins_a_line(
    url: str, width: int, end: Callable[[str, str], pb.ImageRequest]
) -> None:
    """For a terminal it is truncated before wrapping, even if the terminal draws its characters twice as wide."""
    file = io.StringIO()
    outcome = RequestView.of(end(url, ID))
    TextReport(Console(file=file, force_terminal=True, width=width, no_color=True)).report(outcome)
    text = STYLE.sub("", file.getvalue())
    before, quote, rest = text.partition('"')
    if not quote:
        assert url in text
        return
    assert before.split() == [outcome.state, ID]
    assert rest.split()[-1] == ("there" if outcome.is_error else PUBLIC)
    (line,) = (each for each in text.splitlines() if quote in each)
    assert display_width(line) <= max(width, MIN_WIDTH)


def forging(url: str) -> ScriptedService:
    """Return a service with one request whose URL and labels imitate our output."""
    request = failed(url, ID)
    request.labels[LABEL[0]] = LABEL[1]
    return ScriptedService(
        submitted={ID: url},
        final_states={url: request},
        pages=[pb.ListRequestsResponse(requests=[request])],
    )


LINES = {
    "submit": ["submit", "--watch", "--request-id", ID],
    "watch": ["watch", ID],
    "list": ["list"],
}


@pytest.mark.parametrize("url", [FORGED, BLANKS])
@pytest.mark.parametrize("command", LINES.values(), ids=LINES)
async def test_a_line_for_a_pipe_is_one_request(command: list[str], url: str) -> None:
    """It has the state, the id, the quoted URL and the failure, in this order. The URL adds nothing."""
    given = [*command, url] if command[0] == "submit" else command
    async with serve(forging(url)) as address:
        ran = await imageservice(*given, address=address)
    assert ran.out == f"FAILED     {ID}  {json_line(url)}  NOT_FOUND: Nothing there\n"


def json_line(text: str) -> str:
    shown = quote_url(text)
    assert json.loads(shown) == text
    return shown


@pytest.mark.parametrize("url", [FORGED, BLANKS])
@pytest.mark.parametrize("command", [["watch", ID], ["list"]], ids=["watch", "list"])
async def test_lines_for_a_terminal_begin_with_our_text(command: list[str], url: str) -> None:
    """The state is at the margin. Below it are the quoted URL, no wider than the terminal, and the failure."""
    async with serve(forging(url)) as address:
        ran = await imageservice(*command, address=address, environment=TERMINAL)
    head, quoted, failure = STYLE.sub("", ran.out).splitlines()
    assert head == f"FAILED     {ID}"
    assert quoted.startswith('  "http://origin/xxx')
    assert quoted.endswith('…"')
    assert display_width(quoted) <= WIDTH
    assert failure == "  NOT_FOUND: Nothing there"
    assert quoted.isprintable()


@pytest.mark.parametrize("url", [FORGED, BLANKS])
@pytest.mark.parametrize("environment", [{}, TERMINAL], ids=["pipe", "terminal"])
async def test_status_prints_each_field_once(environment: dict[str, str], url: str) -> None:
    """One line per field for any URL and labels. For a terminal no line is wider than the terminal."""
    async with serve(forging(url)) as address:
        ran = await imageservice("status", ID, address=address, environment=environment)
    lines = STYLE.sub("", ran.out).splitlines()
    names = [line[:12].strip() for line in lines]
    assert names == [
        "request",
        "state",
        "url",
        "created",
        "updated",
        "label",
        "failure",
        "attempts",
    ]
    reported = {name: line[12:] for name, line in zip(names, lines, strict=True)}
    assert reported["state"] == "FAILED"
    assert all(line.isprintable() for line in lines)
    for name in ("url", "label"):
        assert reported[name].startswith('"')
        assert reported[name].endswith('"')
    if environment:
        assert all(display_width(line) <= WIDTH for line in lines)
    else:
        assert json.loads(reported["url"]) == url
        assert json.loads(f"{{{reported['label']}}}") == dict([LABEL])


async def test_ordinary_text_is_not_changed() -> None:
    """A URL of one word is not quoted and not truncated, so that it can be opened. Labels stay readable."""
    url = f"https://a.example/{'long/' * 30}x.png?size=1"
    request = completed(url, ID)
    request.labels["Saison"] = "Frühling"
    async with serve(ScriptedService(submitted={ID: url}, final_states={url: request})) as address:
        ran = await imageservice("status", ID, address=address, environment=TERMINAL)
    lines = STYLE.sub("", ran.out).splitlines()
    assert f"url         {url}" in lines
    assert 'label       "Saison": "Frühling"' in lines
