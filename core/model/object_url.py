"""Parses `s3://<bucket>/<key>` URLs of submits.

Rules of buckets: "General purpose bucket naming rules" in the Amazon S3 User Guide; of keys: "Naming Amazon S3 objects"
there.
"""

import re
from dataclasses import dataclass

from core.model.origin_url import InvalidOriginUrl

SCHEME = "s3://"
MAX_KEY_BYTES = 1_024

_BUCKET = re.compile(r"[a-z0-9](?:[a-z0-9-]|\.(?!\.)){1,61}[a-z0-9]")
_ADDRESS = re.compile(r"[0-9]+(?:\.[0-9]+){3}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ufffe\uffff]")


@dataclass(frozen=True, slots=True)
class ObjectUrl:
    """An object of S3. The key is the text behind the bucket as it was given: nothing in it is an escape or a query."""

    bucket: str
    key: str


def is_object_url(text: str) -> bool:
    return text.startswith(SCHEME)


def is_bucket_name(name: str) -> bool:
    return bool(_BUCKET.fullmatch(name)) and not _ADDRESS.fullmatch(name)


def parse_object_url(text: str) -> ObjectUrl:
    """Parse a URL for which `is_object_url` is true. Raises InvalidOriginUrl; its text is for the caller."""
    bucket, _, key = text.removeprefix(SCHEME).partition("/")
    if not is_bucket_name(bucket):
        raise InvalidOriginUrl("The URL's bucket is not a valid name.")
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        raise InvalidOriginUrl("The URL is not valid Unicode.") from None
    if not 1 <= size <= MAX_KEY_BYTES:
        raise InvalidOriginUrl(f"The URL's key must be 1 to {MAX_KEY_BYTES:,} bytes.")
    if _CONTROL.search(key):
        raise InvalidOriginUrl("The URL must not contain control characters.")
    # S3 takes them literally. A proxy on the way could resolve them, and then the object would be another one.
    if not {".", ".."}.isdisjoint(key.split("/")):
        raise InvalidOriginUrl("The URL's key must not contain the segments . and ...")
    return ObjectUrl(bucket, key)
