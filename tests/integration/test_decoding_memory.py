"""The memory in which a coded body is decoded is the memory that is reserved for it."""

import asyncio
import gzip
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import brotli
import pytest

from consumer.fetching.http.content_codings import BodyDecoder, decoding_bytes
from core.runtime.malloc_tuning import return_large_blocks

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

MAX_BYTES = 20 * 1_024 * 1_024
SIZE = MAX_BYTES - 16_384
SLACK_BYTES = 2 * 1_024 * 1_024
"""Of the thread and the allocator."""


def encode(coding: str, body: bytes) -> bytes:
    if coding == "br":
        coded: bytes = brotli.compress(body, quality=5)
        return coded
    return gzip.compress(body, 0 if coding == "stored" else 1)


def resident_bytes(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(f"{field}:")).split()[1]) << 10


async def decode(coded: list[bytes], codings: tuple[str, ...]) -> int:
    decoder = BodyDecoder()
    try:
        return len(await decoder.decode(coded, codings, MAX_BYTES))
    finally:
        decoder.close()


def peak_and_coded_bytes(encodings: tuple[str, ...], *, random: bool) -> tuple[int, int]:
    """Return the most memory that a body takes while it is decoded, with the coded one, and the size of that."""
    return_large_blocks()
    body = os.urandom(SIZE) if random else bytes(SIZE)
    for encoding in encodings:
        body = encode(encoding, body)
    coded = [body]
    size = len(body)
    before = resident_bytes("VmRSS") - size
    del body
    Path("/proc/self/clear_refs").write_text("5")  # The peak is measured from here (proc(5)).
    assert asyncio.run(decode(coded, names(encodings))) == SIZE
    return resident_bytes("VmHWM") - before, size


def names(encodings: tuple[str, ...]) -> tuple[str, ...]:
    return tuple("gzip" if encoding == "stored" else encoding for encoding in encodings)


@pytest.mark.parametrize(
    ("encodings", "random"),
    [
        (("gzip",), True),
        (("gzip", "gzip"), True),
        (("stored", "gzip"), False),
        (("br",), True),
        (("br",), False),
        (("br", "br"), True),
        (("stored", "br"), False),
    ],
    ids=str,
)
def test_a_body_is_decoded_in_the_memory_that_is_reserved_for_it(
    encodings: tuple[str, ...], *, random: bool
) -> None:
    """Random bytes make the coded body as large as the decoded one, and stored ones the result of the first coding."""
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        peak, coded = process.submit(peak_and_coded_bytes, encodings, random=random).result()
    assert peak <= coded + decoding_bytes(names(encodings), coded, MAX_BYTES) + SLACK_BYTES
