"""Page tokens of lists: one record for each shard, with the kind of its cursor, a time and a request id."""

import uuid
from collections.abc import Sequence

from core.dynamodb.index_query import IndexKey
from server.listing.merge import EXHAUSTED, MAX_SHARDS, AfterKey, Cursor, FromTime
from server.listing.query import ListQuery
from server.paging import InvalidPageToken, PageTokenCodec

_CODEC = PageTokenCodec(MAX_SHARDS)
_EXHAUSTED, _FROM_TIME, _AFTER_KEY = range(3)
_NO_TIME = bytes(6)
_NO_ID = bytes(16)


def encode(query: ListQuery, cursors: Sequence[Cursor]) -> str:
    return _CODEC.encode(query.digest(), map(_record, cursors))


def decode(query: ListQuery, token: str) -> tuple[Cursor, ...]:
    """Raises InvalidPageToken."""
    return tuple(_cursor(query, *record) for record in _CODEC.decode(query.digest(), token))


def _record(cursor: Cursor) -> tuple[int, bytes, bytes]:
    match cursor:
        case FromTime(time):
            return _FROM_TIME, time.to_bytes(6), _NO_ID
        case AfterKey(key):
            return _AFTER_KEY, key.time.to_bytes(6), uuid.UUID(key.request_id).bytes
        case _:
            return _EXHAUSTED, _NO_TIME, _NO_ID


def _cursor(query: ListQuery, kind: int, time_bytes: bytes, request_id: bytes) -> Cursor:
    if kind == _EXHAUSTED:
        return EXHAUSTED
    time = int.from_bytes(time_bytes)
    # DynamoDB rejects a start key outside the key condition, and that would count as an internal error.
    if kind not in {_FROM_TIME, _AFTER_KEY} or not (
        query.key_times.first <= time <= query.key_times.last
    ):
        raise InvalidPageToken
    if kind == _FROM_TIME:
        return FromTime(time)
    return AfterKey(IndexKey(time, str(uuid.UUID(bytes=request_id))))
