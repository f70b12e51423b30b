"""Content codings (RFC 9110, section 8.4) of bodies. We ask for none, but some servers code every body.

Common upload code stores names that are no coding, such as `utf-8`, `base64` or `aws-chunked`, and servers announce
codings that the body does not have. So names that we do not know count as none, and a body that is no coded data, or
begins like an image, is taken as it is.
"""

import asyncio
import re
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import brotli
from multidict import MultiMapping

from core.errors import BadResponse, BrokenResponse, TooLarge

MAX_CODINGS = 2
"""More than one is rare. Each one may expand a body by a factor of a thousand or more."""

MAX_MEMBERS = 1_000
"""Members of a gzip body. Blocked gzip makes one of 64 KB; empty ones would cost time without a limit."""

_WINDOW_BYTES = 16 * 1_024 * 1_024
"""The largest window of brotli (RFC 7932, section 9.1). As many of its bytes are in use as have been decoded."""

_PIECE_BYTES = 64 * 1_024
"""Of the coded data that one step reads, and about the most that it returns."""
_GZIP = 16 + zlib.MAX_WBITS
_GZIP_MAGIC = b"\x1f\x8b"
_DEFLATE_METHOD = 8

_SIGNATURE = re.compile(
    rb"\xff\xd8\xff|\x89PNG|GIF8|RIFF....WEBP|II\*\0|MM\0\*|....ftyp|BM....\0\0\0\0", re.DOTALL
)
"""Beginnings of accepted formats. That coded data begins like this by chance is less likely than a wrong label."""


class _Damaged(Exception):
    """The coded data ends early, or is none."""


def parse_codings(headers: MultiMapping[str]) -> tuple[str, ...]:
    """Return the known codings of a body in the order in which they were applied, the transfer codings last.

    Raises BadResponse for more than MAX_CODINGS.
    """
    if not ("Content-Encoding" in headers or "Transfer-Encoding" in headers):
        return ()
    fields = (*headers.getall("Content-Encoding", ()), *headers.getall("Transfer-Encoding", ()))
    names = [name.strip(" \t").lower() for name in ",".join(fields).split(",")]
    codings = tuple(name for name in names if name in _DECODERS)
    if len(codings) > MAX_CODINGS:
        raise BadResponse(f"it has more than {MAX_CODINGS} codings")
    return codings


def decoding_bytes(codings: tuple[str, ...], declared: int | None, max_bytes: int) -> int:
    """Return the most memory that `decode_body` takes besides a body of the declared size, None for an unknown one.

    It is that of the result and of a window, and with two codings also of what the first result exceeds the body by,
    which is freed then.
    """
    window = min(max_bytes, _WINDOW_BYTES) if "br" in codings else 0
    coded = max_bytes if declared is None else declared
    larger_input = max_bytes - coded if len(codings) > 1 else 0
    return max_bytes + window + larger_input


def decode_body(body: bytes, codings: tuple[str, ...], max_bytes: int) -> bytes:
    """Undo `codings`.

    Raises TooLarge if a result has more than `max_bytes`, and BrokenResponse if the coded data is damaged or cut off.
    Bytes behind the coded data are dropped. Behind brotli, which has no checksum, they count as damage.
    """
    for coding in reversed(codings):
        if not body or _SIGNATURE.match(body):
            return body
        try:
            body = _DECODERS[coding](body, max_bytes)
        except (_Damaged, zlib.error, brotli.error) as fault:
            raise BrokenResponse(f"its coding {coding} is damaged") from fault
    return body


def _decode_gzip(body: bytes, max_bytes: int) -> bytes:
    """Decode all members (RFC 1952, section 2.2)."""
    output, start = BytesIO(), 0
    for _ in range(MAX_MEMBERS):
        if not body.startswith(_GZIP_MAGIC, start):
            return body if start == 0 else output.getvalue()
        start = _inflate(body, start, _GZIP, output, max_bytes)
    raise _Damaged


def _decode_deflate(body: bytes, max_bytes: int) -> bytes:
    """Decode with the frame of zlib, which RFC 9110 requires, or without, as some servers send it."""
    output = BytesIO()
    header = int.from_bytes(body[:2])
    if body[0] & 0x0F == _DEFLATE_METHOD and header % 31 == 0:  # RFC 1950, section 2.2
        _inflate(body, 0, zlib.MAX_WBITS, output, max_bytes)
    else:
        _inflate(body, 0, -zlib.MAX_WBITS, output, max_bytes)
    return output.getvalue()


def _inflate(body: bytes, start: int, window: int, output: BytesIO, max_bytes: int) -> int:
    """Append the decoded data to `output`, whose value is not a copy. Returns the index behind the coded data."""
    inflater = zlib.decompressobj(window)
    while not inflater.eof:
        piece = inflater.unconsumed_tail
        if not piece:
            piece = body[start : start + _PIECE_BYTES]
            start += len(piece)
        decoded = inflater.decompress(piece, _PIECE_BYTES)
        _append(decoded, output, max_bytes)
        if not (piece or decoded or inflater.eof):
            raise _Damaged
    return start - len(inflater.unused_data)


def _decode_brotli(body: bytes, max_bytes: int) -> bytes:
    decoder = brotli.Decompressor()
    output, start = BytesIO(), 0
    while not decoder.is_finished():
        piece = body[start : start + _PIECE_BYTES] if decoder.can_accept_more_data() else b""
        start += len(piece)
        decoded = decoder.process(piece, output_buffer_limit=_PIECE_BYTES)
        _append(decoded, output, max_bytes)
        if not (piece or decoded or decoder.is_finished()):
            raise _Damaged
    return output.getvalue()


def _append(decoded: bytes, output: BytesIO, max_bytes: int) -> None:
    output.write(decoded)
    if output.tell() > max_bytes:
        raise TooLarge(f"{max_bytes:,} bytes")


_DECODERS: dict[str, Callable[[bytes, int], bytes]] = {
    "gzip": _decode_gzip,
    "x-gzip": _decode_gzip,
    "deflate": _decode_deflate,
    "br": _decode_brotli,
}


class BodyDecoder:
    """Decodes one body at a time in a thread of its own, so that it does not block the event loop."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="coding")

    async def decode(self, coded: list[bytes], codings: tuple[str, ...], max_bytes: int) -> bytes:
        """Take the only body out of `coded`, and undo `codings`; raises as `decode_body`.

        No caller holds the body then, so each coding frees the bytes that it has decoded.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, _take_and_decode, coded, codings, max_bytes)

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


def _take_and_decode(coded: list[bytes], codings: tuple[str, ...], max_bytes: int) -> bytes:
    return decode_body(coded.pop(), codings, max_bytes)
