"""Storing images. An object's key says what it is; objects are immutable, so a repeated upload is harmless."""

import hashlib
import hmac

from core.aws.client import call
from core.aws.http import ObjectStore

CACHE_CONTROL = "public, max-age=31536000, immutable"
_TAG_HEX = 20


def customer_tag(secret: bytes, customer_id: str) -> str:
    """A keyed hash: customers share no object, and nobody can tell whose an object is."""
    return hmac.new(secret, customer_id.encode(), hashlib.sha256).hexdigest()[:_TAG_HEX]


def object_key(tag: str, sha256: str, extension: str) -> str:
    """`images/<2 hex>/<customer tag>/<sha256>.<ext>`: S3 takes 3,500 PUTs a second for each prefix."""
    return f"images/{sha256[:2]}/{tag}/{sha256}.{extension}"


class ImageStorage:
    def __init__(self, objects: ObjectStore, name: str, tag_secret: bytes) -> None:
        self._objects = objects
        self._name = name
        self._tag_secret = tag_secret

    async def store(
        self, body: bytes, *, customer_id: str, sha256: str, extension: str, media_type: str
    ) -> str:
        """Answer the object's `s3://` URL once S3 has it. Raises DependencyUnavailable."""
        key = object_key(customer_tag(self._tag_secret, customer_id), sha256, extension)
        await call(
            "s3:PutObject",
            self._objects.put_object(
                key, body, sha256=sha256, content_type=media_type, cache_control=CACHE_CONTROL
            ),
        )
        return f"s3://{self._name}/{key}"
