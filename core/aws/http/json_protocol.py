"""Client for services of the AWS JSON protocol: DynamoDB and SQS."""

import hashlib
from collections.abc import Mapping
from typing import Any

import aiohttp
import orjson

from core.aws.http.client import SignedClient, with_retries
from core.aws.http.errors import raise_for_json

_LONG_POLL = "WaitTimeSeconds"
"""The only member that lets a service wait before it answers, in seconds. SQS's ReceiveMessage has it."""


class JsonService:
    """Calls one service at `path`. `prefix` and `version` are the service model's `targetPrefix` and `jsonVersion`."""

    def __init__(self, client: SignedClient, path: str, *, prefix: str, version: str) -> None:
        self._client = client
        self._path = path
        self._prefix = prefix
        self._content_type = f"application/x-amz-json-{version}"

    async def invoke(self, operation: str, members: Mapping[str, Any]) -> dict[str, Any]:
        """Call an operation and return the members of its response, as the SDK returns text, numbers, lists and maps.

        Raises botocore's ClientError, or aiohttp's ClientError or TimeoutError.
        """
        body = orjson.dumps(members)
        digest = hashlib.sha256(body).hexdigest()
        headers = {
            "content-type": self._content_type,
            "x-amz-target": f"{self._prefix}.{operation}",
        }

        async def attempt(fresh: bool) -> dict[str, Any]:
            response = await self._client.send(
                "POST",
                self._path,
                headers,
                body=body,
                payload_sha256=digest,
                wait=members.get(_LONG_POLL, 0),
                fresh=fresh,
            )
            raise_for_json(operation, response.status, response.headers, response.body)
            return _members(response.body)

        return await with_retries(f"{self._client.service}:{operation}", attempt)


def _members(body: bytes) -> dict[str, Any]:
    try:
        members = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise aiohttp.ClientPayloadError("the response is not JSON") from error
    if not isinstance(members, dict):
        raise aiohttp.ClientPayloadError("the response is not a JSON object")
    return members
