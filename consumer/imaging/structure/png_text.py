"""Reads text chunks of PNG (third edition, 11.3.3), and the profiles that ImageMagick and ExifTool keep in them."""

import re
import zlib

TEXT_CHUNKS = frozenset({b"tEXt", b"zTXt", b"iTXt"})
RAW_PROFILE = b"raw profile type "
"""Beginning of the keyword of a profile, in lower case."""
_PROFILE_HEAD = re.compile(rb"\A\n?[^\n]*\n\s*+\d++\n")
"""The type, which may be empty, and the length."""


def split_text(name: bytes, payload: bytes) -> tuple[bytes, bool, bytes]:
    """Return the keyword of a text chunk, whether its text is deflated, and the text as it is stored."""
    keyword, _, rest = payload.partition(b"\0")
    if name == b"tEXt":
        return keyword, False, rest
    if name == b"zTXt":
        return keyword, True, rest[1:]
    return keyword, rest[:1] == b"\x01", rest[2:].split(b"\0", 2)[-1]


def decode_profile(text: bytes) -> bytes | None:
    """Decode a line with the type, one with the length, and hexadecimal digits. Returns None if there are others."""
    head = _PROFILE_HEAD.match(text)
    try:
        return bytes.fromhex(text[head.end() :].decode("ascii")) if head else None
    except ValueError:
        return None


def inflate(data: bytes, limit: int) -> bytes:
    """Inflate the first `limit` bytes; fewer if the data is damaged or cut short."""
    try:
        return zlib.decompressobj().decompress(data, limit)
    except zlib.error:
        return b""
