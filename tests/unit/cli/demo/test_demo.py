"""The demo: its items, their expected results, and the check of the results."""

import hashlib
import io
from pathlib import Path

import pytest
from rich.console import Console

from cli.client.client import connect
from cli.demo.items import BAD, Item, items, list_images
from cli.demo.run import Result, submit_and_follow
from cli.demo.table import shorten, show, size
from cli.demo.verify import mismatch
from cli.output.outcome import RequestView
from harness.scripted_service import ScriptedService, completed, failed, invalid, serve
from imageservice.v1 import image_service_pb2 as pb

ID = "6d2f0c1e-3a5b-4a53-9a35-0a4d8f0c2a11"
URL = (
    "http://127.0.0.1:54739/imageservice-images-000000000000/images/b7/2ba8dd/b72bbe37c69f246c.png"
)


def test_images_are_listed_at_run_time(tmp_path: Path) -> None:
    """Images are the files with an image suffix directly in the folder."""
    for name in ("b.png", "a.JPG", "SOURCES.md"):
        (tmp_path / name).touch()
    (tmp_path / "bad").mkdir()
    assert list_images(tmp_path) == ["a.JPG", "b.png"]


def test_every_item_expects_a_result_of_the_contract() -> None:
    """COMPLETED or a failure code of the contract. URLs are distinct."""
    chosen = items("http://origin", ["a.png", "b.webp"])
    codes = {name.removeprefix("FAILURE_CODE_") for name in pb.FailureCode.keys()}  # noqa: SIM118  no mapping
    assert {item.expected for item in chosen} <= codes | {"COMPLETED"}
    assert {*BAD.values(), "BLOCKED_ADDRESS"} <= {item.expected for item in chosen}
    assert len({item.url for item in chosen}) == len(chosen)


async def test_results_are_in_the_order_of_the_items() -> None:
    """Completed, failed and refused items each have their result."""
    chosen = [
        Item("good", "http://origin/a", "COMPLETED"),
        Item("bad", "http://origin/b", "NOT_FOUND"),
        Item("refused", "ftp://origin/c", "COMPLETED"),
    ]
    service = ScriptedService(
        refusals={"ftp://origin/c": [invalid("url", "No.")]},
        final_states={"http://origin/b": failed("http://origin/b")},
    )
    async with serve(service) as address, connect(address) as client:
        results = await submit_and_follow(client, chosen, lambda _: None)
    assert [(r.item.name, r.ended, r.expected) for r in results] == [
        ("good", "COMPLETED", True),
        ("bad", "NOT_FOUND", True),
        ("refused", "INVALID_REQUEST", False),
    ]


def test_published_bytes_are_compared() -> None:
    """A length or digest that differs from the recorded one is reported."""
    body = b"image!!"
    digest = hashlib.sha256(body).hexdigest()
    assert mismatch("a.png", body, 7, digest) is None
    assert mismatch("a.png", body, 8, digest) == "a.png: 7 bytes are published, 8 were recorded"
    assert "SHA-256" in (mismatch("a.png", b"image!?", 7, digest) or "")


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_fits(width: int) -> None:
    """Each row fits into the width and has the failure code. The complete public URL follows on its own line."""
    good = completed("http://origin/a", ID)
    good.image.public_url = URL
    good.image.metadata.bytes = 123_456
    bad = failed("http://origin/b", ID)
    bad.failure.code = pb.FAILURE_CODE_UNSUPPORTED_FORMAT
    results = [
        Result(Item("an-image-with-a-long-name.png", "", "COMPLETED"), RequestView.of(good), 1.2),
        Result(Item("drawing.svg", "", "UNSUPPORTED_FORMAT"), RequestView.of(bad), 12.34),
    ]
    file = io.StringIO()
    show(Console(file=file, width=width), results)
    _, first, second, url = file.getvalue().splitlines()
    assert max(len(first), len(second)) <= width
    assert "COMPLETED" in first
    assert "123.5 kB" in first
    assert "UNSUPPORTED_FORMAT" in second
    assert second.endswith("12.34 s")
    assert url.split() == ["an-image-with-a-l…", URL]


def test_a_wide_table_is_not_truncated() -> None:
    """If there is space, the row has the complete id and URL."""
    good = completed("http://origin/a", ID)
    good.image.public_url = URL
    file = io.StringIO()
    results = [Result(Item("a.png", "", "COMPLETED"), RequestView.of(good), 1.2)]
    show(Console(file=file, width=200), results)
    _, row = file.getvalue().splitlines()
    assert ID in row
    assert URL in row


def test_a_long_name_is_truncated_at_its_end() -> None:
    """The result has the requested width."""
    assert shorten("abcdef", 6) == "abcdef"
    assert shorten("abcdefg", 4) == "abc…"


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (999, "999 B"), (1_000, "1.0 kB"), (74_433, "74.4 kB")]
)
def test_sizes(count: int, text: str) -> None:
    """Sizes are in bytes or decimal kilobytes."""
    assert size(count) == text
