"""Page tokens of searches: one record, with distance, creation time and image id of the last hit of the page."""

import uuid
from dataclasses import fields

from core.search.query import SearchQuery, SortKey
from server.paging import InvalidPageToken, PageTokenCodec, query_digest

_CODEC = PageTokenCodec(1)


def encode(query: SearchQuery, last: SortKey) -> str:
    time, image_id = last.created_at.to_bytes(6), uuid.UUID(last.image_id).bytes
    return _CODEC.encode(_digest(query), [(last.distance, time, image_id)])


def decode(query: SearchQuery, token: str) -> SortKey:
    """Raises InvalidPageToken."""
    ((distance, time, image_id),) = _CODEC.decode(_digest(query), token)
    if distance > (query.similar.distance if query.similar else 0):
        raise InvalidPageToken
    return SortKey(distance, int.from_bytes(time), str(uuid.UUID(bytes=image_id)))


def _digest(query: SearchQuery) -> bytes:
    """Leave out conditions that are not set: a server with a new condition then accepts tokens of an older server."""
    return query_digest(
        {
            field.name: value
            for field in fields(query)
            if (value := getattr(query, field.name)) != field.default
        }
    )
