"""Sending signed requests to one endpoint: connections, time-outs, retries.

aiohttp makes and keeps the connections and parses what arrives. Its session is left out: cookies, redirects, proxies by
environment and bodies of every kind are not needed here, and make up most of a small request's cost.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http_exceptions import HttpProcessingError
from botocore.exceptions import NoCredentialsError
from yarl import URL

from core.wire.faults import Retryable
from core.wire.signature import Credentials, Scope, signed

R = TypeVar("R")

WAITS_S = (0.1, 0.4)
"""Ceilings of the random waits, in seconds, before the second and the third try, which is the last."""

_TRANSIENT = (
    Retryable,
    aiohttp.ClientConnectionError,
    aiohttp.ClientPayloadError,
    TimeoutError,
)
_INTERIM = range(100, 200)


class CredentialSource(Protocol):
    """The SDK's credentials, which renew themselves."""

    async def get_frozen_credentials(self) -> Any: ...


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds to connect, seconds between two bytes of an answer, connections at once."""

    connect_timeout: float
    read_timeout: float
    connections: int


@dataclass(frozen=True, slots=True)
class Answer:
    """Header names are case-insensitive."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Exchange:
    """Signs and sends. `endpoint` is a URL whose path counts for nothing; `proxy` that of an HTTP proxy on the way."""

    def __init__(
        self,
        endpoint: str,
        scope: Scope,
        *,
        connector: aiohttp.BaseConnector,
        credentials: CredentialSource | None,
        limits: Limits,
        proxy: str | None = None,
    ) -> None:
        url = URL(endpoint)
        self._host = url.raw_authority
        self._scope = scope
        self._connector = connector
        self._source = credentials
        self._connect_timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=limits.connect_timeout
        )
        self._read_timeout = limits.read_timeout
        # All that a connector reads of a request is where it goes.
        self._destination = aiohttp.ClientRequest(
            "POST",
            url,
            loop=asyncio.get_running_loop(),
            # A proxy tunnels TLS; an endpoint without it is on this machine or beside it.
            proxy=URL(proxy) if proxy and url.scheme == "https" else None,
        )

    async def send(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        *,
        body: bytes,
        payload_sha256: str,
    ) -> Answer:
        """One try, signed now. `path` is percent-encoded, header names are in lower case, their values our own.

        Raises aiohttp's ClientError, TimeoutError or NoCredentialsError.
        """
        all_headers = signed(
            {**headers, "host": self._host},
            method=method,
            path=path,
            payload_sha256=payload_sha256,
            credentials=await self._credentials(),
            scope=self._scope,
            now=time.time(),
        )
        fields = "".join([f"{name}: {value}\r\n" for name, value in all_headers.items()])
        head = f"{method} {path} HTTP/1.1\r\n{fields}content-length: {len(body)}\r\n\r\n"
        connection = await self._connector.connect(self._destination, [], self._connect_timeout)
        try:
            answer = await self._ask(connection.protocol, head.encode() + body)
        except HttpProcessingError as fault:
            _hang_up(connection)
            raise aiohttp.ClientPayloadError("the answer is not HTTP") from fault
        except BaseException:
            _hang_up(connection)
            raise
        if connection.transport is None or connection.transport.get_write_buffer_size():
            # Answered before it had the whole body: what is left would go before the next request.
            _hang_up(connection)
        else:
            connection.release()
        return answer

    async def _ask(self, protocol: ResponseHandler | None, request: bytes) -> Answer:
        # `should_close` also tells of an answer that came while nobody had asked.
        if protocol is None or protocol.transport is None or protocol.should_close:
            raise aiohttp.ServerDisconnectedError
        protocol.set_response_params(
            read_until_eof=True, auto_decompress=False, read_timeout=self._read_timeout
        )
        protocol.transport.write(request)
        protocol.start_timeout()
        while True:
            message, content = await protocol.read()
            if message.code not in _INTERIM:
                return Answer(message.code, message.headers, await content.read())

    async def _credentials(self) -> Credentials:
        if self._source is None:
            raise NoCredentialsError
        frozen: Credentials = await self._source.get_frozen_credentials()
        return frozen


def _hang_up(connection: Connection) -> None:
    """Now, and without sending what is still to be sent: it would count against no limit."""
    if connection.protocol is not None:
        connection.protocol.abort()
    connection.close()


async def retried(attempt: Callable[[], Awaitable[R]]) -> R:
    """Try again what may succeed in a moment; raises the last error.

    By hand, because a retry library's bookkeeping costs as much as the signature, and nearly every first try succeeds.
    """
    for ceiling in WAITS_S:
        try:
            return await attempt()
        except _TRANSIENT:
            await asyncio.sleep(random.uniform(0, ceiling))  # noqa: S311  jitter, not a secret
    return await attempt()
