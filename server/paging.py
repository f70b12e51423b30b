"""Pagination: the limits of one call, and the page tokens of lists and searches (AIP-158)."""

import base64
import binascii
import hashlib
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import orjson

from server.errors import FieldViolation, InvalidRequest

MAX_PAGE_BYTES = 3_000_000
"""A page ends once it has this size. gRPC clients accept messages of up to 4 MiB by default."""

T = TypeVar("T")


class InvalidPageToken(ValueError):
    """The text is not a page token, or belongs to another query."""


class PageTokenCodec:
    """Encodes the position of a query as URL-safe base64 without padding.

        1 byte       version
        16 bytes     digest of the query
        23 bytes     each record: a number (1 byte), a time (6 bytes), a UUID (16 bytes)

    Tokens are not signed, because a forged token gives access to nothing: it contains no customer, and every query is
    restricted to the customer_id of the request. The digest only detects that a client has mixed up two queries.
    """

    _VERSION = 1
    _HEADER = struct.Struct(">B16s")
    _RECORD = struct.Struct(">B6s16s")

    def __init__(self, max_records: int) -> None:
        """A token has 1 to `max_records` records."""
        size = self._HEADER.size + max_records * self._RECORD.size
        self._max_characters = (size * 4 + 2) // 3

    def encode(self, digest: bytes, records: Iterable[tuple[int, bytes, bytes]]) -> str:
        packed = [self._HEADER.pack(self._VERSION, digest)]
        packed += [self._RECORD.pack(*record) for record in records]
        return base64.urlsafe_b64encode(b"".join(packed)).decode().rstrip("=")

    def decode(self, digest: bytes, token: str) -> Sequence[tuple[int, bytes, bytes]]:
        """Return the records of a token that was made for the query with this digest. Raises InvalidPageToken."""
        packed = self._decode_base64(token)
        records, rest = divmod(len(packed) - self._HEADER.size, self._RECORD.size)
        if (
            rest
            or records < 1
            or packed[: self._HEADER.size] != self._HEADER.pack(self._VERSION, digest)
        ):
            raise InvalidPageToken
        return list(self._RECORD.iter_unpack(packed[self._HEADER.size :]))

    def _decode_base64(self, token: str) -> bytes:
        # Padding is refused, so that each token has one spelling.
        if len(token) > self._max_characters or "=" in token:
            raise InvalidPageToken
        try:
            return base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raise InvalidPageToken from None


def query_digest(conditions: Any) -> bytes:
    """Return 16 bytes that identify a query. `conditions` is anything that orjson serialises."""
    return hashlib.blake2b(orjson.dumps(conditions), digest_size=16).digest()


def page_size_violations(page_size: int) -> Iterator[FieldViolation]:
    if page_size < 0:
        yield FieldViolation("page_size", "Must not be negative.")


def parse_page_token(token: str, decode: Callable[[str], T], first_page: T) -> T:
    """Return the position at which the page starts; `first_page` if there is no token. Raises InvalidRequest."""
    if not token:
        return first_page
    try:
        return decode(token)
    except InvalidPageToken:
        rule = "Must be a next_page_token that was answered to the same fields."
        raise InvalidRequest((FieldViolation("page_token", rule),)) from None
