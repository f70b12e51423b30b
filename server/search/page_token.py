"""The page token: where a search goes on, as text that goes through a URL.

    1 byte       version
    16 bytes     digest of the query
    23 bytes     the last hit: its distance (1 byte), time (6 bytes) and image id (16 bytes)

It is not signed, because there is nothing to gain by forging one. It names no customer: the query that is made from the
caller's own customer_id holds on every page. Whatever a token says, it leads to another place in what its caller may
find anyway. The digest only tells honest callers that they have mixed up two searches.
"""

import base64
import binascii
import hashlib
import struct
import uuid
from dataclasses import fields

import orjson

from core.search.query import SearchQuery, SortKey

_VERSION = 1
_TOKEN = struct.Struct(">B16sB6s16s")
_LENGTH = (_TOKEN.size * 4 + 2) // 3
"""Characters."""


class BadToken(ValueError):
    """The text is no token, or one of another query."""


def encode(query: SearchQuery, last: SortKey) -> str:
    packed = _TOKEN.pack(
        _VERSION,
        _digest(query),
        last.distance,
        last.created_at.to_bytes(6),
        uuid.UUID(last.image_id).bytes,
    )
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def decode(query: SearchQuery, text: str) -> SortKey:
    """Raises BadToken."""
    version, digest, distance, time, image_id = _TOKEN.unpack(_bytes_of(text))
    longest = query.similar.distance if query.similar else 0
    if (version, digest) != (_VERSION, _digest(query)) or distance > longest:
        raise BadToken
    return SortKey(distance, int.from_bytes(time), str(uuid.UUID(bytes=image_id)))


def _bytes_of(text: str) -> bytes:
    if len(text) != _LENGTH:
        raise BadToken
    try:
        packed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise BadToken from None
    # Padding of the caller's own makes it shorter.
    if len(packed) != _TOKEN.size:
        raise BadToken
    return packed


def _digest(query: SearchQuery) -> bytes:
    """16 bytes by which a token knows its query.

    Conditions that are not set are left out: a server that knows one more goes on with the tokens of one that does not.
    """
    conditions = {
        field.name: value
        for field in fields(query)
        if (value := getattr(query, field.name)) != field.default
    }
    return hashlib.blake2b(orjson.dumps(conditions), digest_size=16).digest()
