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

from consumer.fetching.http.content_codings import DECODING_COPIES, BodyDecoder
from core.runtime.malloc_tuning import return_large_blocks

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

MAX_BYTES = 20 * 1_024 * 1_024
SLACK_BYTES = 2 * 1_024 * 1_024
"""Of the thread and the allocator."""


def encode(coding: str, body: bytes) -> bytes:
    return brotli.compress(body, quality=5) if coding == "br" else gzip.compress(body, 1)


def resident_bytes(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(f"{field}:")).split()[1]) << 10


async def decode(coded: list[bytes], codings: tuple[str, ...]) -> int:
    decoder = BodyDecoder()
    try:
        return len(await decoder.decode(coded, codings, MAX_BYTES))
    finally:
        decoder.close()


def peak_bytes(codings: tuple[str, ...]) -> int:
    """Return the most memory that a body of random bytes takes while it is decoded, with its coded bytes."""
    return_large_blocks()
    body = os.urandom(MAX_BYTES - 16_384)
    for coding in codings:
        body = encode(coding, body)
    coded = [body]
    before = resident_bytes("VmRSS") - len(body)
    del body
    Path("/proc/self/clear_refs").write_text("5")  # The peak is measured from here (proc(5)).
    assert asyncio.run(decode(coded, codings)) == MAX_BYTES - 16_384
    return resident_bytes("VmHWM") - before


@pytest.mark.parametrize(
    "codings", [("gzip",), ("gzip", "gzip"), ("br",), ("br", "br")], ids="+".join
)
def test_a_body_is_decoded_in_the_memory_that_is_reserved_for_it(codings: tuple[str, ...]) -> None:
    """Bytes that cannot be compressed take the most: the coded body is as large as the decoded one."""
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        peak = process.submit(peak_bytes, codings).result()
    assert peak <= DECODING_COPIES * MAX_BYTES + SLACK_BYTES
