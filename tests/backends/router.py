"""Before the embedded AWS: calls on tables, and on the template's queues, go to the real backends.

With it one endpoint is all of AWS, for whoever knows only one: `imageservice up`, the suite's own hands, a
proxy that breaks calls. Server and consumer are otherwise given the backends' own addresses.
"""

import json
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from backends.mirror import PAST_ROUTER, Mirror
from harness.calls import Request, Signed, calls

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

# SNS, which is inside the embedded AWS, fills these there.
_FILLED_BY_SNS = ("-search", "-search-dead-letters")
_HOP_HEADERS = frozenset({b"connection", b"keep-alive", b"transfer-encoding", b"content-length"})


@dataclass(slots=True)
class Router:
    """ASGI middleware around the embedded AWS."""

    app: App
    mirror: Mirror
    _own_queues: set[str] = field(default_factory=set)
    """Queues that a test made, for SNS to send to; the template's are made inside the embedded AWS."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope.get("headers", ()))
        signed = Signed.parse(headers.get(b"authorization", b"").decode("latin-1"))
        if (
            scope["type"] != "http"
            or signed is None
            or signed.principal == PAST_ROUTER
            or signed.service not in {"dynamodb", "sqs"}
        ):
            await self.app(scope, receive, send)
            return
        body = await _read(receive)
        target = headers.get(b"x-amz-target", b"").decode("latin-1")
        request = Request(signed, scope["method"], scope["path"], "", target, body)
        backend = await self._backend(request)
        if backend is None:
            await self.app(scope, _again(body, receive), send)
        else:
            await _forward(backend, scope, body, send)

    async def _backend(self, request: Request) -> str | None:
        """Answer where a call goes; None is the embedded AWS, which also says what does not exist."""
        if request.signed.service == "dynamodb":
            there = [await self.mirror.table(name) for name in tables_of(request)]
            return self.mirror.dynamodb if all(there) else None
        asked = json.loads(request.body)
        name = str(asked.get("QueueUrl", asked.get("QueueName", ""))).rpartition("/")[2]
        if request.target.endswith(".CreateQueue"):
            self._own_queues.add(name)
        if not name or name in self._own_queues or name.endswith(_FILLED_BY_SNS):
            return None
        return self.mirror.sqs if await self.mirror.queue(name) else None


async def _forward(backend: str, scope: Scope, body: bytes, send: Send) -> None:
    sent = {k.decode("latin-1"): v.decode("latin-1") for k, v in _end_to_end(scope["headers"])}
    # A session for each call: a kept one would have to be closed before the loop ends, and nobody says when.
    async with (
        aiohttp.ClientSession(
            auto_decompress=False, timeout=aiohttp.ClientTimeout(total=None)
        ) as session,
        session.request(
            scope["method"],
            backend + scope["path"],
            data=body,
            headers=sent,
            skip_auto_headers=("Content-Type", "User-Agent", "Accept", "Accept-Encoding"),
        ) as answer,
    ):
        content = await answer.read()
    length = (b"content-length", str(len(content)).encode())
    headers = [*_end_to_end(answer.raw_headers), length]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": content})


def tables_of(request: Request) -> set[str]:
    """Return the names of all tables that a call on DynamoDB names."""
    resources = (call.resource.partition(":table/")[2] for call in calls(request))
    return {resource.partition("/")[0] for resource in resources if resource}


def _end_to_end(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    return [(name, value) for name, value in headers if name.lower() not in _HOP_HEADERS]


async def _read(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if message["type"] != "http.request" or not message.get("more_body"):
            return bytes(body)


def _again(body: bytes, receive: Receive) -> Receive:
    """What was read already comes once more, then what follows."""
    first = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> MutableMapping[str, Any]:
        return first.pop() if first else await receive()

    return replayed
