"""Reading a body copies a bounded part of it, however its parts are divided."""

import tracemalloc
import zlib
from collections.abc import Callable
from io import BytesIO

import pytest
from PIL import Image

from consumer.imaging.decoders import png
from consumer.imaging.formats import GIF, PNG
from consumer.imaging.strip_location import strip_location
from consumer.imaging.structure import read_structure
from harness.images import png_chunk
from harness.located_images import gif_with

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
