"""Stores images and renditions in S3. A key is made from the content, so a repeated upload is harmless."""

import hashlib
from collections.abc import Mapping

from consumer.customer_tag import customer_tag
from core.answers import member
from core.aws.client import call
from core.aws.http import ObjectStore
from core.model.image import ImageRecord

CACHE_CONTROL = "public, max-age=31536000, immutable"


def object_key(tag: str, sha256: str, extension: str) -> str:
    """Return `images/<2 hex>/<customer tag>/<sha256>.<ext>`: S3 allows 3,500 PUTs a second per prefix.

    With the tag, customers share no object, and a key does not reveal its customer.
    """
    return f"images/{sha256[:2]}/{tag}/{sha256}.{extension}"


class ImageStorage:
    def __init__(self, objects: ObjectStore, bucket: str, tag_secret: bytes) -> None:
        self._objects = objects
        self._bucket = bucket
        self._tag_secret = tag_secret

    async def store(
        self, body: bytes, *, customer_id: str, sha256: str, extension: str, media_type: str
    ) -> str:
        """Store an object and return its `s3://` URL. Raises DependencyUnavailable or RequestRejected."""
        key = object_key(customer_tag(self._tag_secret, customer_id), sha256, extension)
        await call(
            "s3:PutObject",
            self._objects.put_object(
                key, body, sha256=sha256, content_type=media_type, cache_control=CACHE_CONTROL
            ),
            _decode_put,
        )
        return f"s3://{self._bucket}/{key}"

    async def load(self, image: ImageRecord) -> bytes | None:
        """Return the stored object of an image. None if it is gone or is another one.

        Raises DependencyUnavailable or RequestRejected.
        """
        body = await call("s3:GetObject", self._objects.get_object(image.key), _decode_get)
        intact = body is not None and hashlib.sha256(body).hexdigest() == image.metadata.sha256
        return body if intact else None


def _decode_get(answer: tuple[Mapping[str, str], bytes] | None) -> bytes | None:
    """Decode a GetObject, as a PutObject: a 200 without an ETag is not S3's, and says nothing about the object."""
    if answer is None:
        return None
    headers, body = answer
    member(headers, "ETag", str)
    return body


def _decode_put(headers: Mapping[str, str]) -> None:
    """Decode a PutObject: S3 answers with the object's ETag. Another server's 200 has none, and stored nothing."""
    member(headers, "ETag", str)
