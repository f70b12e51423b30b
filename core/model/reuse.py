"""The record of a fetched URL, by which later requests of the same customer may reuse its image. Pure."""

import hashlib
from dataclasses import dataclass

RECORD_DAYS = 30
"""Days that a record is kept after the fetch: the longest reuse_within."""

_DAY_MS = 86_400_000
_SUFFIX = "#reuse"


@dataclass(frozen=True, slots=True)
class FetchRecord:
    """The last fetch of a URL for a customer.

    image_id: of a published image with the object. fetched_at: when the origin was asked, in milliseconds since the
    epoch. rules: the rules by which the image was accepted and edited; other rules would make another image.
    """

    image_id: str
    fetched_at: int
    rules: str

    def is_fresh(self, within: int, now: int) -> bool:
        """Return whether the fetch is at most `within` milliseconds ago."""
        return now - self.fetched_at <= within

    @property
    def expires_at(self) -> int:
        """Seconds since the epoch."""
        return (self.fetched_at + RECORD_DAYS * _DAY_MS) // 1_000


def fetch_record_id(customer_id: str, url: str) -> str:
    """Return the key of a record in the table of images. A customer's id has no zero byte, so no two share a key."""
    digest = hashlib.sha256(f"{customer_id}\0{url}".encode()).hexdigest()
    return digest + _SUFFIX


def is_fetch_record_id(key: str) -> bool:
    return key.endswith(_SUFFIX)
