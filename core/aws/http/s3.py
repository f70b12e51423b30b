"""S3, for one operation on one bucket: storing an object."""

import base64
from urllib.parse import quote

from core.aws.http.client import Exchange, retried
from core.aws.http.errors import raise_for_xml


class ObjectStore:
    """Stores objects below `folder`, a path that begins and ends with a slash."""

    def __init__(self, exchange: Exchange, folder: str) -> None:
        self._exchange = exchange
        self._folder = folder

    async def put_object(
        self, key: str, body: bytes, *, sha256: str, content_type: str, cache_control: str
    ) -> None:
        """Returns once S3 has the object. `sha256` is that of `body`, in hexadecimal.

        S3 checks the body against it twice, as the signature's and as the object's checksum, and keeps the latter.
        Raises botocore's ClientError, or what aiohttp raises.
        """
        path = self._folder + quote(key, safe="/~")
        headers = {
            "cache-control": cache_control,
            "content-type": content_type,
            "x-amz-checksum-sha256": base64.b64encode(bytes.fromhex(sha256)).decode(),
            "x-amz-content-sha256": sha256,
        }

        async def attempt(fresh: bool) -> None:
            answer = await self._exchange.send(
                "PUT", path, headers, body=body, payload_sha256=sha256, fresh=fresh
            )
            raise_for_xml("PutObject", answer.status, answer.body)

        await retried("s3:PutObject", attempt)


def bucket_url(endpoint: str, bucket: str) -> str:
    """Where a bucket is, by the endpoint of S3: a host of its own on AWS, a folder elsewhere.

    A name with dots is a folder on AWS too, because the certificate's wildcard covers one label ("Virtual hosting of
    buckets", Amazon S3 User Guide).
    """
    scheme, _, host = endpoint.rstrip("/").partition("://")
    if ".amazonaws.com" in host and "." not in bucket:
        return f"{scheme}://{bucket}.{host}/"
    return f"{scheme}://{host}/{bucket}/"
