"""Sends signed requests to one endpoint over kept connections, with timeouts and retries.

aiohttp makes and keeps the connections. Its session is not used: cookies, redirects, proxies by environment and bodies
of all kinds are not needed here, and they make up most of the cost of a small request.
"""

import asyncio
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import aiohttp
from botocore.exceptions import NoCredentialsError
from yarl import URL

from core.aiohttp_internals import Connection, open_connection, request_to
from core.aws.http.connection import Response, abort, send_request
from core.aws.http.errors import RetryableError, ThrottledError
from core.aws.http.sigv4 import Credentials, CredentialScope, sign
from core.resilience.backoff import Backoff
from core.runtime.metrics import AWS_THROTTLES

R = TypeVar("R")

MAX_ATTEMPTS = 3
_BACKOFF = Backoff(0.1, 0.4, factor=4)

_TRANSIENT = (
    RetryableError,
    aiohttp.ClientConnectionError,
    aiohttp.ClientPayloadError,
    TimeoutError,
)


class CredentialSource(Protocol):
    """The SDK's credentials. It renews them before they expire."""

    async def get_frozen_credentials(self) -> Any: ...


@dataclass(frozen=True, slots=True)
class Limits:
    """Timeouts of a service, and how many connections of this process it can occupy."""

    connect_timeout: float = 3
    """Seconds to connect to one address."""

    read_timeout: float = 4
    """Seconds without a byte sent or received, added to the wait that the call requests of the service. Three attempts
    must fit into `core.aws.client.CALL_SECONDS`: then a dead connection fails one attempt and not the call."""

    connections: int = 64
    """Connections to each service. The SDK's default of 10 limits throughput without an error."""


class SignedClient:
    """Signs requests and sends them to `endpoint`, a URL whose path is ignored. `proxy` is the URL of an HTTP proxy.

    Clients that share a connector share its limit of connections.
    """

    def __init__(
        self,
        endpoint: str,
        scope: CredentialScope,
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
        # A proxy tunnels TLS; an endpoint without TLS is on this machine or near it.
        tunnel = URL(proxy) if proxy and url.scheme == "https" else None
        self._destination = request_to(url, tunnel)

    @property
    def service(self) -> str:
        """The name in the signature: dynamodb, sqs, sns or s3."""
        return self._scope.service

    async def send(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        *,
        body: bytes,
        payload_sha256: str,
        wait: float = 0,
        fresh: bool = False,
    ) -> Response:
        """Make one attempt, signed now.

        `path` is percent-encoded; header names are in lower case. `wait` is the time that the request allows the
        service to wait, in seconds. `fresh` requires a connection that was never used.
        Raises aiohttp's ClientError, TimeoutError or NoCredentialsError.
        """
        all_headers = sign(
            {**headers, "host": self._host},
            method=method,
            path=path,
            payload_sha256=payload_sha256,
            credentials=await self._credentials(),
            scope=self._scope,
            now=time.time(),
        )
        head = _encode_head(method, path, all_headers, len(body))
        try:
            connection = await self._connect(fresh=fresh)
            return await send_request(
                connection,
                head,
                body,
                read_timeout=self._read_timeout + wait,
                has_content=method != "HEAD",
            )
        except BaseException as error:
            _clear_frames(error)
            raise

    async def _connect(self, *, fresh: bool) -> Connection:
        while True:
            connection = await open_connection(
                self._connector, self._destination, self._connect_timeout
            )
            protocol = connection.protocol
            # Only a used connection has a read timeout.
            if not fresh or protocol is None or protocol.read_timeout is None:
                return connection
            abort(connection)

    async def _credentials(self) -> Credentials:
        if self._source is None:
            raise NoCredentialsError
        frozen: Credentials = await self._source.get_frozen_credentials()
        return frozen


def _encode_head(method: str, path: str, headers: Mapping[str, str], length: int) -> bytes:
    fields = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    return f"{method} {path} HTTP/1.1\r\n{fields}content-length: {length}\r\n\r\n".encode()


def _clear_frames(error: BaseException) -> None:
    """Clear the frames of an error's traceback; it can still be logged and raised.

    Some frames of aiohttp refer to the error that refers to them, and so keep every frame down to the one with the
    body. In an outage that memory would grow until the garbage collector runs its last generation.
    """
    link: BaseException | None = error
    seen: set[int] = set()
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        traceback.clear_frames(link.__traceback__)
        link = link.__cause__ or link.__context__


async def with_retries(operation: str, attempt: Callable[[bool], Awaitable[R]]) -> R:
    """Call `attempt` up to MAX_ATTEMPTS times while its error is transient; raise the last error.

    `operation` is for the metrics. The argument of `attempt` is whether it needs a fresh connection. It does after a
    timeout: the cause, such as a gateway that lost its connection table, affects all idle connections alike.

    Without tenacity: its loop costs 12 to 20 µs a call even if the first attempt succeeds, as nearly all do. That is as
    much as the signature; this loop costs 0.1 µs (Python 3.11).
    """
    fresh = False
    for attempt_number in range(1, MAX_ATTEMPTS):
        try:
            return await attempt(fresh)
        except _TRANSIENT as error:
            _count_throttle(operation, error)
            fresh = fresh or isinstance(error, TimeoutError)
            await asyncio.sleep(_BACKOFF.delay(attempt_number))
    try:
        return await attempt(fresh)
    except ThrottledError as error:
        _count_throttle(operation, error)
        raise


def _count_throttle(operation: str, error: Exception) -> None:
    if isinstance(error, ThrottledError):
        AWS_THROTTLES.labels(operation).inc()
