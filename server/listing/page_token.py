"""The page token: where a walk goes on, as text that goes through a URL.

    1 byte       version
    16 bytes     digest of the query
    23 bytes     for each shard: kind of position, time (6 bytes), request id (16 bytes)

It is not signed, because there is nothing to gain by forging one. It names no customer and no shard by name: the key at
which DynamoDB goes on is made from the caller's own customer_id and a position, and the key condition holds that
customer's shard. Whatever a token says, it leads to another place in the same list that its caller may read anyway. The
digest only tells honest callers that they have mixed up two walks.
"""

import base64
import binascii
import struct
import uuid
from collections.abc import Sequence

from core.dynamodb.indexes import IndexKey
from server.listing.merge import END, MAX_SHARDS, After, From, Position
from server.listing.query import ListQuery

_VERSION = 1
_HEAD = struct.Struct(">B16s")
_POSITION = struct.Struct(">B6s16s")
_END, _FROM, _AFTER = range(3)
_NO_ID = bytes(16)
_LONGEST = (_HEAD.size + MAX_SHARDS * _POSITION.size + 2) // 3 * 4
"""Characters."""


class BadToken(ValueError):
    """The text is no token, or one of another query."""


def encode(query: ListQuery, positions: Sequence[Position]) -> str:
    packed = b"".join([_HEAD.pack(_VERSION, query.digest()), *map(_packed, positions)])
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def decode(query: ListQuery, text: str) -> tuple[Position, ...]:
    """Raises BadToken."""
    packed = _bytes_of(text)
    version, digest = _HEAD.unpack_from(packed)
    if (version, digest) != (_VERSION, query.digest()):
        raise BadToken
    return tuple(
        _unpacked(query, *fields) for fields in _POSITION.iter_unpack(packed[_HEAD.size :])
    )


def _bytes_of(text: str) -> bytes:
    if len(text) > _LONGEST:
        raise BadToken
    try:
        packed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise BadToken from None
    shards, rest = divmod(len(packed) - _HEAD.size, _POSITION.size)
    if rest or not 1 <= shards <= MAX_SHARDS:
        raise BadToken
    return packed


def _packed(position: Position) -> bytes:
    match position:
        case From(time):
            return _POSITION.pack(_FROM, time.to_bytes(6), _NO_ID)
        case After(key):
            return _POSITION.pack(_AFTER, key.time.to_bytes(6), uuid.UUID(key.request_id).bytes)
        case _:
            return _POSITION.pack(_END, bytes(6), _NO_ID)


def _unpacked(query: ListQuery, kind: int, time_bytes: bytes, request_id: bytes) -> Position:
    if kind == _END:
        return END
    time = int.from_bytes(time_bytes)
    # DynamoDB would refuse to go on outside of the key condition, and that would count as a fault of ours.
    if kind not in {_FROM, _AFTER} or not query.span.first <= time <= query.span.last:
        raise BadToken
    if kind == _FROM:
        return From(time)
    return After(IndexKey(time, str(uuid.UUID(bytes=request_id))))
