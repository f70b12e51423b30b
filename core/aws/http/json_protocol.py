"""Services of the AWS JSON protocol: DynamoDB and SQS."""

import hashlib
from collections.abc import Mapping
from typing import Any

import aiohttp
import orjson

from core.aws.http.client import Exchange, retried
from core.aws.http.errors import raise_for_json

_LONG_POLL = "WaitTimeSeconds"
"""The one member by which a caller lets a service be silent: SQS's ReceiveMessage has it."""


class JsonService:
    """Calls one service at `path`. `prefix` and `version` are the service model's `targetPrefix` and `jsonVersion`."""

    def __init__(self, exchange: Exchange, path: str, *, prefix: str, version: str) -> None:
        self._exchange = exchange
        self._path = path
        self._prefix = prefix
        self._content_type = f"application/x-amz-json-{version}"

    async def invoke(self, operation: str, members: Mapping[str, Any]) -> dict[str, Any]:
        """The answer's members, as the SDK gives them for shapes of text, numbers, lists and maps.

        Raises botocore's ClientError, or what aiohttp raises.
        """
        body = orjson.dumps(members)
        digest = hashlib.sha256(body).hexdigest()
        headers = {
            "content-type": self._content_type,
            "x-amz-target": f"{self._prefix}.{operation}",
        }

        async def attempt(fresh: bool) -> dict[str, Any]:
            answer = await self._exchange.send(
                "POST",
                self._path,
                headers,
                body=body,
                payload_sha256=digest,
                wait=members.get(_LONG_POLL, 0),
                fresh=fresh,
            )
            raise_for_json(operation, answer.status, answer.headers, answer.body)
            return _members(answer.body)

        return await retried(f"{self._exchange.service}:{operation}", attempt)


def _members(body: bytes) -> dict[str, Any]:
    try:
        members = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise aiohttp.ClientPayloadError("the answer is not JSON") from error
    if not isinstance(members, dict):
        raise aiohttp.ClientPayloadError("the answer is not a JSON object")
    return members
