"""Content codings: their names, mislabelled bodies, and bombs."""

import contextlib
import gzip
import tracemalloc
import zlib
from collections.abc import Callable
from functools import partial
from itertools import product

import brotli
import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from consumer.fetching.http.content_codings import (
    MAX_MEMBERS,
    decode_body,
    parse_codings,
)
from core.errors import BadResponse, BrokenResponse, TooLarge

TEXT = bytes(range(256)) * 100
JPEG = b"\xff\xd8\xff\xe0" + TEXT
LIMIT = 1_000_000


def deflate(body: bytes, window: int = zlib.MAX_WBITS) -> bytes:
    compressor = zlib.compressobj(9, zlib.DEFLATED, window)
    return compressor.compress(body) + compressor.flush()


def bare_deflate(body: bytes) -> bytes:
    return deflate(body, -zlib.MAX_WBITS)


ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": deflate,
    "deflate without a frame": bare_deflate,
    "br": partial(brotli.compress, quality=4),
}


@pytest.mark.parametrize(
    ("values", "codings"),
    [
        ([], ()),
        ([""], ()),
        ([" , ,"], ()),
        (["identity"], ()),
        (["utf-8"], ()),
        (["base64"], ()),
        (["aws-chunked"], ()),
        (["none", "binary", "image/jpeg", "caf\udce9", "\u212a"], ()),
        (["gzip"], ("gzip",)),
        (["GZip "], ("gzip",)),
        (["aws-chunked,gzip"], ("gzip",)),
        (["aws-chunked", "x-gzip,"], ("x-gzip",)),
        (["deflate", "br"], ("deflate", "br")),
    ],
)
def test_names_that_are_no_known_coding_count_as_none(
    values: list[str], codings: tuple[str, ...]
) -> None:
    """In any number and order, and in any number of fields."""
    headers = CIMultiDict([("Content-Encoding", value) for value in values])
    assert parse_codings(headers) == codings


def test_a_transfer_coding_is_undone_first() -> None:
    """It was applied last. Chunked framing is the parser's."""
    headers = CIMultiDict(
        [("Transfer-Encoding", "gzip, chunked"), ("Content-Encoding", "br")],
    )
    assert parse_codings(headers) == ("br", "gzip")


def test_the_number_of_codings_is_bounded() -> None:
    """Each may expand the body."""
    with pytest.raises(BadResponse):
        parse_codings(CIMultiDict([("Content-Encoding", "gzip, gzip, br")]))


@pytest.mark.parametrize("coding", ENCODERS)
def test_a_coded_body_is_decoded(coding: str) -> None:
    """Up to the limit."""
    coded = ENCODERS[coding](TEXT)
    name = (coding.split(maxsplit=1)[0],)
    assert decode_body(coded, name, len(TEXT)) == TEXT
    with pytest.raises(TooLarge):
        decode_body(coded, name, len(TEXT) - 1)


@pytest.mark.parametrize(("inner", "outer"), list(product(ENCODERS, ENCODERS)))
def test_two_codings_are_undone_in_reverse(inner: str, outer: str) -> None:
    """The last one was applied last."""
    coded = ENCODERS[outer](ENCODERS[inner](TEXT))
    assert (
        decode_body(coded, (inner.split(maxsplit=1)[0], outer.split(maxsplit=1)[0]), LIMIT) == TEXT
    )


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br"])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        JPEG,
        b"\x89PNG\r\n\x1a\n" + TEXT,
        b"GIF89a" + TEXT,
        b"RIFF\x12\x34\0\0WEBPVP8 " + TEXT,
        b"II*\0" + TEXT,
        b"MM\0*" + TEXT,
        b"\0\0\0\x20ftypavif" + TEXT,
        b"BM\x12\x34\0\0\0\0\0\0" + TEXT,
    ],
    ids=["empty", "jpeg", "png", "gif", "webp", "tiff", "tiff-big-endian", "avif", "bmp"],
)
def test_an_image_that_is_not_coded_is_taken_as_it_is(coding: str, body: bytes) -> None:
    """Servers announce codings for files that were never coded."""
    assert decode_body(body, (coding,), LIMIT) is body


def test_a_body_without_the_signature_of_gzip_is_taken_as_it_is() -> None:
    """Whatever it is, it is no gzip."""
    assert decode_body(b"<svg/>", ("gzip",), LIMIT) == b"<svg/>"
    assert decode_body(gzip.compress(TEXT), ("gzip", "gzip"), LIMIT) == TEXT


def test_all_members_of_gzip_are_decoded() -> None:
    """What follows them is surplus."""
    members = b"".join(gzip.compress(TEXT[start : start + 100]) for start in range(0, 1_000, 100))
    assert decode_body(members, ("gzip",), LIMIT) == TEXT[:1_000]
    assert decode_body(members + bytes(512), ("gzip",), LIMIT) == TEXT[:1_000]


@pytest.mark.parametrize("coding", ENCODERS)
def test_damaged_data_is_a_broken_response(coding: str) -> None:
    """A repeated request may get it whole."""
    coded = ENCODERS[coding](TEXT)
    name = (coding.split(maxsplit=1)[0],)
    for damaged in (coded[:-1], coded[: len(coded) // 2], coded[:20]):
        with pytest.raises(BrokenResponse):
            decode_body(damaged, name, LIMIT)


def test_bytes_behind_brotli_are_damage() -> None:
    """It has no checksum: a changed byte may move its end."""
    with pytest.raises(BrokenResponse):
        decode_body(ENCODERS["br"](TEXT) + b"\n", ("br",), LIMIT)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_wrong_checksum_is_a_broken_response(coding: str) -> None:
    """brotli and deflate without a frame have none."""
    coded = bytearray(ENCODERS[coding](TEXT))
    coded[-5 if coding == "gzip" else -1] ^= 1
    with pytest.raises(BrokenResponse):
        decode_body(bytes(coded), (coding,), LIMIT)


def test_empty_members_without_end_are_refused() -> None:
    """They would cost time and give no byte."""
    with pytest.raises(BrokenResponse):
        decode_body(gzip.compress(b"") * (MAX_MEMBERS + 1), ("gzip",), LIMIT)


@pytest.mark.parametrize(
    "codings", [("gzip",), ("deflate",), ("br",), ("gzip", "gzip"), ("br", "br")]
)
def test_a_bomb_takes_no_more_memory_than_some_bodies(codings: tuple[str, ...]) -> None:
    """It expands to a hundred times the limit, or to less than one KB that does so."""
    bomb = bytes(100 * LIMIT)
    for coding in codings:
        bomb = ENCODERS[coding](bomb)
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge):
            decode_body(bomb, codings, LIMIT)
        assert tracemalloc.get_traced_memory()[1] < 2 * LIMIT
    finally:
        tracemalloc.stop()


@given(st.binary(max_size=300), st.sampled_from(["gzip", "deflate", "br"]), st.booleans())
def test_any_bytes_are_decoded_or_refused(body: bytes, coding: str, with_magic: bool) -> None:
    """No other error leaves the decoder."""
    with contextlib.suppress(BrokenResponse, TooLarge):
        decode_body(b"\x1f\x8b\x08\0" + body if with_magic else body, (coding,), 1_000)
