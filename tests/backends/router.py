"""In front of the embedded AWS: routes calls for tables and for the queues of the template to the real backends.

With it one endpoint serves all of AWS, for clients with a single endpoint: `imageservice up`, the tests themselves,
a proxy that injects faults. Otherwise server and consumer get the addresses of the backends.
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

# SNS is in the embedded AWS and sends to these queues there.
_FILLED_BY_SNS = ("-search", "-search-dead-letters")
_HOP_HEADERS = frozenset({b"connection", b"keep-alive", b"transfer-encoding", b"content-length"})


@dataclass(slots=True)
class Router:
    """ASGI middleware around the embedded AWS."""

    app: App
    mirror: Mirror
    _own_queues: set[str] = field(default_factory=set)
    """Queues that a test created in the embedded AWS as targets of SNS."""

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
            await self.app(scope, _replayed(body, receive), send)
        else:
            await _forward(backend, scope, body, send)

    async def _backend(self, request: Request) -> str | None:
        """Return the backend of a call. None is the embedded AWS, which also answers for missing resources."""
        if request.signed.service == "dynamodb":
            exist = [await self.mirror.table(name) for name in tables_of(request)]
            return self.mirror.dynamodb if all(exist) else None
        parameters = json.loads(request.body)
        name = str(parameters.get("QueueUrl", parameters.get("QueueName", ""))).rpartition("/")[2]
        if request.target.endswith(".CreateQueue"):
            self._own_queues.add(name)
        if not name or name in self._own_queues or name.endswith(_FILLED_BY_SNS):
            return None
        return self.mirror.sqs if await self.mirror.queue(name) else None


async def _forward(backend: str, scope: Scope, body: bytes, send: Send) -> None:
    sent = {k.decode("latin-1"): v.decode("latin-1") for k, v in _end_to_end(scope["headers"])}
    # One session per call: a shared session would have to be closed before the loop ends, and no hook exists for that.
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
    """Return the names of all tables of a DynamoDB call."""
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


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Return a receive function that first returns the body that was already read."""
    first = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> MutableMapping[str, Any]:
        return first.pop() if first else await receive()

    return replay
