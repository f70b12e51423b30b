"""Small valid images in any number. Image n always has the same bytes, and they differ from those of all others.

A body costs a few microseconds: each format is encoded once, and the number is inserted as metadata.
"""

import io
import struct
import zlib
from collections.abc import Callable
from functools import cache

from PIL import Image

SIDE = 48
"""Width and height in pixels."""

_MEDIA_TYPES = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "webp": "image/webp",
    "gif": "image/gif",
}


def media_type(extension: str) -> str | None:
    """Return the media type for an extension without dot; None if the format is not generated."""
    return _MEDIA_TYPES.get(extension)


def image_body(number: int, extension: str) -> bytes:
    """Return the body of image `number` (from 0). Raises KeyError for an extension that `media_type` does not know."""
    return _MAKERS[extension](number)


@cache
def _encoded(extension: str) -> bytes:
    gradient = Image.linear_gradient("L").resize((SIDE, SIDE))
    bands = (gradient, gradient.rotate(90), gradient.rotate(180))
    return _saved(Image.merge("RGB", bands), {"jpg": "JPEG"}.get(extension, extension.upper()))


def _saved(image: Image.Image, image_format: str) -> bytes:
    body = io.BytesIO()
    image.save(body, image_format)
    return body.getvalue()


def _png(number: int) -> bytes:
    """Insert a tEXt chunk after IHDR, which is always the first 33 bytes (PNG, third edition, 5.6 and 11.3.3)."""
    head, tail = _encoded("png")[:33], _encoded("png")[33:]
    chunk = b"tEXtComment\0" + str(number).encode()
    return head + struct.pack(">I", len(chunk) - 4) + chunk + _crc(chunk) + tail


def _crc(chunk: bytes) -> bytes:
    return struct.pack(">I", zlib.crc32(chunk))


def _jpg(number: int) -> bytes:
    """Insert a COM segment after the JFIF header (ITU-T T.81, B.2.4.5)."""
    body = _encoded("jpg")
    after_header = 4 + struct.unpack(">H", body[4:6])[0]
    comment = str(number).encode()
    segment = b"\xff\xfe" + struct.pack(">H", len(comment) + 2) + comment
    return body[:after_header] + segment + body[after_header:]


def _gif(number: int) -> bytes:
    """Insert a comment extension before the trailer (GIF89a, section 24), which requires version 89a."""
    comment = str(number).encode()
    extension = b"\x21\xfe" + bytes([len(comment)]) + comment + b"\0"
    return b"GIF89a" + _encoded("gif")[6:-1] + extension + b"\x3b"


def _webp(number: int) -> bytes:
    """Append an unknown chunk, which readers skip (RFC 9649, section 2.7.1.6)."""
    head, tail = _webp_parts()
    chunk = b"NMBR" + struct.pack("<I", 8) + number.to_bytes(8, "little")
    return b"RIFF" + struct.pack("<I", len(head) + len(tail) + len(chunk)) + head + tail + chunk


@cache
def _webp_parts() -> tuple[bytes, bytes]:
    """Return the header of the extended format, which unknown chunks require (section 2.7), and the pixels."""
    flags = struct.pack("<I", 0)
    canvas = 2 * (SIDE - 1).to_bytes(3, "little")
    return b"WEBPVP8X" + struct.pack("<I", 10) + flags + canvas, _encoded("webp")[12:]


_MAKERS: dict[str, Callable[[int], bytes]] = {"png": _png, "jpg": _jpg, "gif": _gif, "webp": _webp}
