"""The embedded AWS with a recorder of the calls of each role: `python -m harness.recording_aws PORT`.

Each distinct call is one JSON line in the file that RECORD_CALLS_TO names. With AWS_ENDPOINT_URL_DYNAMODB and
AWS_ENDPOINT_URL_SQS, calls on tables and on the template's queues are passed on to those.
"""

import json
import os
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import astuple
from pathlib import Path
from typing import IO, Any

from ministack import app as gateway

from backends.mirror import Mirror
from backends.router import Router
from cli.local import emulator
from cli.local.embedded_aws import endpoint_of
from harness.calls import Call, Request, Signed, calls
from harness.permissions import ROLES

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class Recorder:
    """ASGI middleware that records the requests of roles and ignores all others."""

    def __init__(self, app: App, record: IO[str]) -> None:
        self._app = app
        self._record = record
        self._seen: set[Call] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope.get("headers", ()))
        signed = Signed.parse(headers.get(b"authorization", b"").decode("latin-1"))
        if scope["type"] != "http" or signed is None or signed.principal not in ROLES:
            await self._app(scope, receive, send)
            return
        body = bytearray()

        async def record_body() -> MutableMapping[str, Any]:
            message = await receive()
            # The bytes of an object do not matter for the call.
            if signed.service != "s3":
                body.extend(message.get("body", b""))
            return message

        def note() -> None:
            self._note(
                Request(
                    signed,
                    scope["method"],
                    scope["path"],
                    scope.get("query_string", b"").decode(),
                    headers.get(b"x-amz-target", b"").decode(),
                    bytes(body),
                )
            )

        async def record_and_send(message: MutableMapping[str, Any]) -> None:
            # A test may read the record as soon as it has the response.
            note()
            await send(message)

        try:
            await self._app(scope, record_body, record_and_send)
        finally:
            note()

    def _note(self, request: Request) -> None:
        for call in calls(request):
            if call not in self._seen:
                self._seen.add(call)
                self._record.write(json.dumps(astuple(call)) + "\n")
                self._record.flush()


def main() -> None:
    with Path(os.environ["RECORD_CALLS_TO"]).open("a", encoding="utf-8") as record:
        gateway.app = Recorder(_routed(gateway.app, int(sys.argv[1])), record)
        emulator.main(sys.argv[1:])


def _routed(app: App, port: int) -> App:
    dynamodb, sqs = (
        os.environ.pop(f"AWS_ENDPOINT_URL_{name}", None) for name in ("DYNAMODB", "SQS")
    )
    if dynamodb is None or sqs is None:
        return app
    return Router(app, Mirror(endpoint_of(port), dynamodb, sqs))


if __name__ == "__main__":
    main()
