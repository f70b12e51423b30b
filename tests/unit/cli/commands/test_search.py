"""`imageservice search`: the requests that it sends and the output that it prints."""

import io
import json

import grpc
import pytest
from google.rpc import error_details_pb2
from hypothesis import example, given
from hypothesis import strategies as st
from rich.console import Console

from cli.client.client import CallFailed
from cli.commands import search
from cli.errors import CommandFailed
from cli.main import run
from cli.output.search_results import JsonResults, TextResults, to_text
from cli.output.text import MIN_WIDTH
from harness.scripted_service import Refusal, ScriptedService, overloaded, serve
from imageservice.v1 import image_service_pb2 as pb

LINE = "2023-11-14T22:13:20Z  PNG       640x480  5,000,000,000 bytes  http://cdn/0.png"
HASH = "00000000000000ff"
ID = "0b8f4a5e-7a59-5c39-9d0f-3c3a9b0a1f11"
OTHER_ID = "1b8f4a5e-7a59-5c39-9d0f-3c3a9b0a1f11"


def numbered_image(number: int) -> pb.Image:
    image = pb.Image(image_id=f"id-{number}", public_url=f"http://cdn/{number}.png")
    image.create_time.FromMilliseconds(1_700_000_000_000 + number)
    image.metadata.format = "PNG"
    image.metadata.width, image.metadata.height = 640, 480
    image.metadata.bytes = 5_000_000_000
    return image


def page(*numbers: int, token: str = "", total: int = 5) -> pb.SearchImagesResponse:
    images = [numbered_image(number) for number in numbers]
    return pb.SearchImagesResponse(images=images, next_page_token=token, total=total)


FACET = pb.Facet(
    field="origin_host",
    values=[pb.FacetValue(value="a.example", count=1_234), pb.FacetValue(value="b", count=1)],
)


async def json_output(service: ScriptedService, query: pb.SearchImagesRequest, limit: int) -> str:
    """Return the output of the search with --json."""
    file = io.StringIO()
    async with serve(service) as address:
        await search._search(address, query, None, limit, JsonResults(file))
    return file.getvalue()


async def test_a_search_is_read_page_by_page() -> None:
    """An empty page does not end the search, and an overloaded page is retried."""
    service = ScriptedService(
        found=[page(1, token="a"), overloaded(), page(token="b"), page(2, 3, token="c"), page(4)]
    )
    out = await json_output(service, pb.SearchImagesRequest(customer_id="acme"), 100)
    assert [json.loads(line)["image_id"] for line in out.splitlines()] == [
        f"id-{number}" for number in (1, 2, 3, 4)
    ]
    assert [query.page_token for query in service.searched] == ["", "a", "a", "b", "c"]


async def test_the_limit_ends_the_search() -> None:
    """Also within a page. No further page is read."""
    service = ScriptedService(found=[page(1, 2, token="a"), page(3, 4, token="b")])
    out = await json_output(service, pb.SearchImagesRequest(customer_id="acme"), 3)
    assert len(out.splitlines()) == 3
    assert not service.found


async def test_facets_are_requested_once() -> None:
    """With the first page, even if it is empty. They are the last object, with the total."""
    first = page(token="a")
    first.facets.append(FACET)
    service = ScriptedService(found=[first, page(1)])
    out = await json_output(service, pb.SearchImagesRequest(customer_id="acme", facets=True), 9)
    assert [query.facets for query in service.searched] == [True, False]
    values = [{"value": "a.example", "count": 1_234}, {"value": "b", "count": 1}]
    assert json.loads(out.splitlines()[-1]) == {"total": 5, "facets": {"origin_host": values}}


async def test_an_installation_without_an_engine() -> None:
    """The call is not retried, and its reason is raised."""
    info = error_details_pb2.ErrorInfo(reason="SEARCH_NOT_CONFIGURED", domain="imageservice")
    service = ScriptedService(found=[Refusal(grpc.StatusCode.UNIMPLEMENTED, "None.", (info,))])
    with pytest.raises(CallFailed, match="SEARCH_NOT_CONFIGURED: None"):
        await json_output(service, pb.SearchImagesRequest(customer_id="acme"), 1)
    assert len(service.searched) == 1


async def test_an_image_id_is_replaced_by_the_hash_of_the_image() -> None:
    """The image is read first. An image without a hash is an error."""
    hashed, plain = numbered_image(1), numbered_image(2)
    hashed.metadata.perceptual_hash = HASH
    service = ScriptedService(images={ID: hashed, OTHER_ID: plain}, found=[page(1)])
    async with serve(service) as address:
        query = pb.SearchImagesRequest(customer_id="acme")
        report = JsonResults(io.StringIO())
        assert await search._search(address, query, ID, 1, report) == 5
        with pytest.raises(CommandFailed, match="has no perceptual hash"):
            await search._search(address, query, OTHER_ID, 1, report)
    assert [each.similar_to for each in service.searched] == [HASH]


@pytest.mark.parametrize(
    ("given", "image_id", "similar_to"),
    [(None, None, ""), (HASH, None, HASH), (ID.upper(), ID, "")],
)
def test_a_hash_is_distinguished_from_an_id(
    given: str | None, image_id: str | None, similar_to: str
) -> None:
    """Sixteen hexadecimal digits are a hash; a UUID is the id of an image."""
    query = pb.SearchImagesRequest()
    assert search._similar_to(query, given) == image_id
    assert query.similar_to == similar_to


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--color", "mauve"], "--color mauve: not one of black, white, gray, red"),
        (["--label", "holiday"], "--label holiday: not KEY=VALUE"),
        (["--label", "a=1", "--label", "a=2"], "--label a=2: not KEY=VALUE, or a second value"),
        (["--similar-to", "xyz"], "xyz is not a hash of 16 hexadecimal digits, nor an image id"),
        (["--after", "noon"], "--after noon: not a time"),
        (["--customer", "a#b"], "--customer 'a#b': not 1 to 128"),
        (["--min-width", "-1"], "Invalid value for '--min-width': "),
        (["--limit", "0"], "Invalid value for '--limit': "),
    ],
)
def test_usage_errors(arguments: list[str], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    """An invalid option is one line on stderr and exit 2, before any call."""
    assert run(["search", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(f"imageservice: {line}")
    assert captured.err.count("\n") == 1


def test_the_text_of_an_image() -> None:
    """Columns: time, format, pixels, bytes, URL, and the camera if it is known."""
    image = numbered_image(0)
    assert to_text(image) == LINE
    image.metadata.camera = "Fuji X100"
    assert to_text(image) == f'{LINE}  "Fuji X100"'


@pytest.mark.parametrize(
    ("camera", "quoted"),
    [
        ("A   http://evil.example/x.png", '"A   http://evil.example/x.png"'),
        ('A"  http://evil.example/x.png', '"A\\"  http://evil.example/x.png"'),
        ("A\\", '"A\\\\"'),
        ("Fuji\x1b[31m\u202e X100", '"Fuji\\u001b[31m\\u202e X100"'),
    ],
)
def test_a_camera_cannot_be_mistaken_for_the_url(camera: str, quoted: str) -> None:
    """The first URL of a line is the URL of the image. The camera follows in quotes that it cannot end itself."""
    image = numbered_image(0)
    image.metadata.camera = camera
    assert to_text(image) == f"{LINE}  {quoted}"


@given(st.text(min_size=1, max_size=128), st.integers(1, 250))
@example("A" * 60 + " http://evil.example/x.png", 80)
@example("\u3164" * 40 + "http://evil.example/x.png", 80)
@example("\u6f22" * 40 + "http://evil.example/x.png", 80)
def test_no_part_of_a_camera_begins_a_line(camera: str, width: int) -> None:
    """For a terminal it is truncated before wrapping, even if the terminal draws its characters twice as wide."""
    image, file = numbered_image(0), io.StringIO()
    image.metadata.camera = camera
    TextResults(Console(file=file, force_terminal=True, width=width)).image(image)
    first, quote, rest = file.getvalue().partition('"')
    assert " ".join(first.split()) == " ".join(LINE.split())
    assert rest.endswith('"\n')
    *_, line = (first + quote + rest).removesuffix("\n").split("\n")
    assert quote in line
    assert sum(1 if char.isascii() else 2 for char in line) <= max(width, MIN_WIDTH)


def test_facets_are_printed_as_tables() -> None:
    """One table for each field that has a value, with the most frequent value first."""
    file = io.StringIO()
    facets = [FACET, pb.Facet(field="camera")]
    TextResults(Console(file=file, width=80)).facets(5, facets)
    heading, *rows = [line.split() for line in file.getvalue().splitlines()]
    assert heading == ["origin", "host", "images"]
    assert rows == [['"a.example"', "1,234"], ['"b"', "1"]]


@pytest.mark.parametrize(
    ("field", "value", "shown"),
    [
        ("format", "PNG", "PNG"),
        ("color", "red", "red"),
        ("camera", 'A"  http://evil.example', '"A\\"  http://evil.example"'),
        ("origin_host", "a.example", '"a.example"'),
        ("a later one", "\u202e", '"\\u202e"'),
    ],
)
def test_foreign_facet_values_are_quoted(field: str, value: str, shown: str) -> None:
    """Values that the service defines are not quoted. A value cannot end its quotes itself."""
    file = io.StringIO()
    facet = pb.Facet(field=field, values=[pb.FacetValue(value=value, count=7)])
    TextResults(Console(file=file, width=80)).facets(7, [facet])
    row = file.getvalue().splitlines()[1]
    assert row.split() == [*shown.split(), "7"]
    assert row.startswith(f"{shown} ")


@pytest.mark.parametrize(
    ("total", "limit", "line"),
    [
        (0, 20, "0 found"),
        (20, 20, "20 found"),
        (1_234, 20, "1,234 found, 20 of them shown: --limit shows more"),
    ],
)
def test_the_summary_has_the_total(total: int, limit: int, line: str) -> None:
    """It says if there are more results than the limit."""
    assert search._summary(total, limit) == line
