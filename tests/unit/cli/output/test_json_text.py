"""What `--json` prints: every value as it is, and nothing that a terminal would obey or hide."""

import json
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.output.text import safe_json
from harness.command import imageservice
from harness.scripted_service import ScriptedService, completed, serving
from imageservice.v1 import image_service_pb2 as pb

ID = "0b8f4a5e-7a59-5c39-9d0f-3c3a9b0a1f11"
LETTERS = "Café 漢字 😀"
UNSEEN = "\x9b31m\u202e\u200b\u2028\x85\x7f\U000e0041"
"""A terminal's control, right to left, no width, two ends of a line, delete, an invisible letter of a plane beyond."""
URL = f"http://origin/{LETTERS}{UNSEEN}"

values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(values)
def test_a_value_is_read_as_it_was_told(value: Any) -> None:
    """In one line of printable characters, keys included."""
    assert json.loads(safe_json(value)) == value
    assert safe_json(value).isprintable()


@given(st.text().filter(str.isprintable))
def test_readable_letters_stay(text: str) -> None:
    """Of every script; only JSON's own quotes and backslashes are escaped."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    assert safe_json(text) == f'"{escaped}"'


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x9b31m", r'"\u009b31m"'),
        ("\x1b[2J", r'"\u001b[2J"'),
        ("a\u202eb", r'"a\u202eb"'),
        ("a\u200bb", r'"a\u200bb"'),
        ("a\u2028\u2029\x85b", r'"a\u2028\u2029\u0085b"'),
        ("\x7f", r'"\u007f"'),
        ("\U000e0041", r'"\udb40\udc41"'),
    ],
)
def test_what_is_no_letter_is_escaped(text: str, shown: str) -> None:
    """As every JSON parser reads it: four digits, and two halves for what lies beyond them."""
    assert safe_json(text) == shown
    assert json.loads(shown) == text


def told_by_strangers() -> ScriptedService:
    """A service whose every answer holds what is not to be seen."""
    request = completed(URL, ID)
    request.labels[f"key{UNSEEN}"] = UNSEEN
    image = pb.Image(image_id=ID)
    image.metadata.camera = LETTERS + UNSEEN
    facet = pb.Facet(field="camera", values=[pb.FacetValue(value=LETTERS + UNSEEN, count=1)])
    return ScriptedService(
        submitted={ID: URL},
        ends={URL: request},
        pages=[pb.ListRequestsResponse(requests=[request])],
        images={ID: image},
        found=[pb.SearchImagesResponse(images=[image], total=1, facets=[facet])],
    )


def strings(reported: Any) -> Iterator[str]:
    """Every text in it, keys included."""
    if isinstance(reported, str):
        yield reported
    elif isinstance(reported, Mapping):
        yield from chain(reported, *map(strings, reported.values()))
    elif isinstance(reported, list):
        yield from chain(*map(strings, reported))


@pytest.mark.parametrize(
    "command",
    [
        ["submit", URL, "--watch"],
        ["watch", ID],
        ["status", ID],
        ["list"],
        ["image", ID],
        ["search", "--facets"],
    ],
)
async def test_every_command_prints_it(command: list[str]) -> None:
    """Whatever strangers wrote, a line is an object, and each is what they wrote once it is parsed."""
    async with serving(told_by_strangers()) as address:
        ran = await imageservice(*command, "--json", address=address)
    assert ran.code == 0, ran.err
    lines = ran.out.removesuffix("\n").split("\n")
    assert all(line.isprintable() and LETTERS in line for line in lines)
    for line in lines:
        assert any(LETTERS + UNSEEN in text for text in strings(json.loads(line)))
