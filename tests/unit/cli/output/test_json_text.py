"""`--json` prints every value unchanged and nothing that a terminal would execute or hide."""

import json
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.output.text import safe_json
from harness.command import imageservice
from harness.scripted_service import ScriptedService, completed, serve
from imageservice.v1 import image_service_pb2 as pb

ID = "0b8f4a5e-7a59-5c39-9d0f-3c3a9b0a1f11"
PRINTABLE = "Café 漢字 😀"
INVISIBLE = "\x9b31m\u202e\u200b\u2028\x85\x7f\U000e0041"
"""A terminal control, a right-to-left override, a zero-width space, two line separators, delete, a tag character."""
URL = f"http://origin/{PRINTABLE}{INVISIBLE}"

values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(values)
def test_a_value_survives_the_round_trip(value: Any) -> None:
    """The JSON is one line of printable characters, keys included."""
    assert json.loads(safe_json(value)) == value
    assert safe_json(value).isprintable()


@given(st.text().filter(str.isprintable))
def test_printable_characters_are_not_escaped(text: str) -> None:
    """This holds for every script. Only quotes and backslashes are escaped, as JSON requires."""
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
def test_unprintable_characters_are_escaped(text: str, shown: str) -> None:
    """With four digits, and with a surrogate pair beyond the basic plane, as every JSON parser reads it."""
    assert safe_json(text) == shown
    assert json.loads(shown) == text


def service_with_foreign_text() -> ScriptedService:
    """Return a service with invisible characters in every response."""
    request = completed(URL, ID)
    request.labels[f"key{INVISIBLE}"] = INVISIBLE
    image = pb.Image(image_id=ID)
    image.metadata.camera = PRINTABLE + INVISIBLE
    facet = pb.Facet(field="camera", values=[pb.FacetValue(value=PRINTABLE + INVISIBLE, count=1)])
    return ScriptedService(
        submitted={ID: URL},
        final_states={URL: request},
        pages=[pb.ListRequestsResponse(requests=[request])],
        images={ID: image},
        found=[pb.SearchImagesResponse(images=[image], total=1, facets=[facet])],
    )


def strings(reported: Any) -> Iterator[str]:
    """Yield every string in the value, keys included."""
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
async def test_every_command_prints_safe_json(command: list[str]) -> None:
    """Each line is one object, and parsing it returns the foreign text unchanged."""
    async with serve(service_with_foreign_text()) as address:
        ran = await imageservice(*command, "--json", address=address)
    assert ran.code == 0, ran.err
    lines = ran.out.removesuffix("\n").split("\n")
    assert all(line.isprintable() and PRINTABLE in line for line in lines)
    for line in lines:
        assert any(PRINTABLE + INVISIBLE in text for text in strings(json.loads(line)))
