"""Reading a body copies a bounded part of it, however its parts are divided."""

import struct
import tracemalloc
import zlib
from collections.abc import Callable
from io import BytesIO

import pytest
from PIL import Image

from consumer.imaging.decoders import png
from consumer.imaging.formats import GIF, PNG, TIFF
from consumer.imaging.strip_location import strip_location
from consumer.imaging.structure import read_structure
from harness.images import png_chunk
from harness.located_chunks import gif_with

SIDE = 1_000
BLACK = bytes(SIDE * (1 + 3 * SIDE))
"""The rows of an RGB image."""
PIECE = 65_536


def peak_of(function: Callable[[], object]) -> int:
    """Return the largest size in bytes of all objects that live at once while the function runs."""
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_the_pixels_of_one_chunk_are_inflated_without_copies_of_the_rest() -> None:
    """The inflater copies what is left of its input at each call, so a large chunk would be copied many times."""
    header = SIDE.to_bytes(4, "big") * 2 + b"\x08\2\0\0\0"
    deflated = zlib.compress(BLACK, level=0)
    chunks = (b"IHDR", header), (b"IDAT", deflated), (b"IEND", b"")
    body = b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in chunks)
    structure = read_structure(PNG, body)
    with Image.open(BytesIO(body)) as image:
        image.load()
        assert peak_of(lambda: png.check_rows(image, body, structure)) < 8 * PIECE < len(deflated)


@pytest.mark.parametrize("size", [1, 255])
def test_the_sub_blocks_of_a_gif_are_joined_in_place(size: int) -> None:
    """An object for each would take 40 times the memory of a block of one byte."""
    text = (bytes((size,)) + b"A" * size) * (200_000 // (1 + size))
    body = gif_with(b"\x21\xfe" + text + b"\0")
    structure = read_structure(GIF, body)
    assert peak_of(lambda: strip_location(GIF, body, structure)) < 4 * len(body)


def test_pages_that_share_a_long_table_of_bits_read_its_start() -> None:
    """A pixel has at most 32 samples. All numbers of such a table for each page would take a second."""
    bits = b"\x08" * 65_536
    size = 2 + 4 * 12 + 4
    pages = b"".join(
        _page((256, 4, 1, 1), (257, 4, 1, 1), (258, 1, len(bits), 8), (262, 4, 1, 1), next_at=at)
        for at in (8 + len(bits) + size, 0)
    )
    body = b"II*\0" + (8 + len(bits)).to_bytes(4, "little") + bits + pages
    assert read_structure(TIFF, body).frames == 2
    assert peak_of(lambda: read_structure(TIFF, body)) < len(bits) + PIECE // 2


def _page(*entries: tuple[int, int, int, int], next_at: int) -> bytes:
    """Return a directory. Entries are tag, type, count and value."""
    table = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return struct.pack("<H", len(entries)) + table + struct.pack("<I", next_at)
