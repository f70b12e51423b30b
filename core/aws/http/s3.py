"""Client for three operations of S3 on one bucket: PutObject, GetObject and HeadObject."""

import base64
import hashlib
from collections.abc import Mapping
from urllib.parse import quote

from multidict import MultiMapping

from core.aws.http.client import SignedClient, with_retries
from core.aws.http.errors import REPEATED_STATUSES, error_code, raise_for_xml

_EMPTY_SHA256 = hashlib.sha256().hexdigest()
_MISSING = frozenset({"NoSuchKey", "AccessDenied", "PreconditionFailed"})


class ObjectStore:
    """Stores objects under `folder`, a path that begins and ends with a slash."""

    def __init__(self, client: SignedClient, folder: str) -> None:
        self._client = client
        self._folder = folder

    async def put_object(
        self, key: str, body: bytes, *, sha256: str, content_type: str, cache_control: str
    ) -> Mapping[str, str]:
        """Store an object and return the headers of the answer. `sha256` is that of `body`, in hexadecimal.

        S3 checks the body against it twice: as part of the signature, and as the object's checksum, which it stores.
        Raises botocore's ClientError, or aiohttp's ClientError or TimeoutError.
        """
        path = self._folder + quote(key, safe="/~")
        headers = {
            "cache-control": cache_control,
            "content-type": content_type,
            "x-amz-checksum-sha256": base64.b64encode(bytes.fromhex(sha256)).decode(),
            "x-amz-content-sha256": sha256,
        }

        async def attempt(fresh: bool) -> Mapping[str, str]:
            response = await self._client.send(
                "PUT", path, headers, body=body, payload_sha256=sha256, fresh=fresh
            )
            raise_for_xml("PutObject", response.status, response.body)
            return response.headers

        return await with_retries("s3:PutObject", attempt)

    async def head_object(self, key: str) -> tuple[int, MultiMapping[str]]:
        """Return status and headers of the answer. Raises as `put_object` for a status that a repeat may change."""
        path = self._folder + quote(key, safe="/~")
        headers = {"x-amz-content-sha256": _EMPTY_SHA256}

        async def attempt(fresh: bool) -> tuple[int, MultiMapping[str]]:
            response = await self._client.send(
                "HEAD", path, headers, body=b"", payload_sha256=_EMPTY_SHA256, fresh=fresh
            )
            if response.status in REPEATED_STATUSES:  # without a body, so without a code
                raise_for_xml("HeadObject", response.status, b"")
            return response.status, response.headers

        return await with_retries("s3:HeadObject", attempt)

    async def get_object(
        self, key: str, *, if_match: str = ""
    ) -> tuple[Mapping[str, str], bytes] | None:
        """Return headers and body of an object; None if there is none with this key. Raises as `put_object`.

        With `if_match`, also None if the object has another ETag.
        A role that may not list the bucket gets AccessDenied instead of NoSuchKey (GetObject, Amazon S3 API Reference).
        """
        path = self._folder + quote(key, safe="/~")
        headers = {"x-amz-content-sha256": _EMPTY_SHA256}
        if if_match:
            headers["if-match"] = if_match

        async def attempt(fresh: bool) -> tuple[Mapping[str, str], bytes] | None:
            response = await self._client.send(
                "GET", path, headers, body=b"", payload_sha256=_EMPTY_SHA256, fresh=fresh
            )
            if error_code(response.status, response.body) in _MISSING:
                return None
            raise_for_xml("GetObject", response.status, response.body)
            return response.headers, response.body

        return await with_retries("s3:GetObject", attempt)


def bucket_url(endpoint: str, bucket: str) -> str:
    """Return the URL of a bucket at an endpoint of S3: a host of its own on AWS, a folder elsewhere.

    A bucket with dots in its name is a folder on AWS too, because the certificate's wildcard covers one label ("Virtual
    hosting of buckets", Amazon S3 User Guide).
    """
    scheme, _, host = endpoint.rstrip("/").partition("://")
    if ".amazonaws.com" in host and "." not in bucket:
        return f"{scheme}://{bucket}.{host}/"
    return f"{scheme}://{host}/{bucket}/"
