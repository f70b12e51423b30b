"""Sending signed requests to one endpoint: connections, time-outs, retries.

aiohttp makes and keeps the connections. Its session is left out: cookies, redirects, proxies by environment and bodies
of every kind are not needed here, and make up most of a small request's cost.
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
from core.aws.http.connection import Answer, converse, hang_up
from core.aws.http.errors import Retryable, Throttled
from core.aws.http.sigv4 import Credentials, Scope, signed
from core.resilience.backoff import Backoff
from core.runtime.metrics import AWS_THROTTLES

R = TypeVar("R")

MAX_ATTEMPTS = 3
_BACKOFF = Backoff(0.1, 0.4, factor=4)

_TRANSIENT = (
    Retryable,
    aiohttp.ClientConnectionError,
    aiohttp.ClientPayloadError,
    TimeoutError,
)


class CredentialSource(Protocol):
    """The SDK's credentials, which renew themselves."""

    async def get_frozen_credentials(self) -> Any: ...


@dataclass(frozen=True, slots=True)
class Limits:
    """What a service is given before it counts as failed, and how much of this process it can hold up."""

    connect_timeout: float = 3
    """Seconds to connect to one address."""

    read_timeout: float = 4
    """Seconds without a byte taken or given, beyond those that a call asks the service to wait. Three tries must fit
    into `core.aws.client.CALL_SECONDS`, or a connection gone silent costs the call rather than a try."""

    connections: int = 64
    """At once to each service. The SDK's default of 10 caps throughput silently."""


class Exchange:
    """Signs and sends. `endpoint` is a URL whose path counts for nothing; `proxy` that of an HTTP proxy on the way.

    What shares a connector shares its limit.
    """

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
        # A proxy tunnels TLS; an endpoint without TLS is on this machine or near it.
        tunnel = URL(proxy) if proxy and url.scheme == "https" else None
        self._destination = request_to(url, tunnel)

    @property
    def service(self) -> str:
        """As AWS signs it: dynamodb, sqs, sns or s3."""
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
    ) -> Answer:
        """One try, signed now. `path` is percent-encoded, header names are in lower case, their values our own.

        `wait` is what the request allows the service to wait, in seconds; `fresh` asks for a connection never used.
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
        try:
            connection = await self._connect(fresh=fresh)
            return await converse(
                connection, head.encode(), body, silence=self._read_timeout + wait
            )
        except BaseException as fault:
            _forget_frames(fault)
            raise

    async def _connect(self, *, fresh: bool) -> Connection:
        while True:
            connection = await open_connection(
                self._connector, self._destination, self._connect_timeout
            )
            protocol = connection.protocol
            # Only a connection that was asked before has a read time-out.
            if not fresh or protocol is None or protocol.read_timeout is None:
                return connection
            hang_up(connection)

    async def _credentials(self) -> Credentials:
        if self._source is None:
            raise NoCredentialsError
        frozen: Credentials = await self._source.get_frozen_credentials()
        return frozen


def _forget_frames(fault: BaseException) -> None:
    """Empty the frames that an error came through; it can still be read and raised.

    Some of aiohttp's keep the error that keeps them, and with it every frame down to the one that has the body: in an
    outage, memory that grows until the garbage collector comes to its last generation.
    """
    link: BaseException | None = fault
    seen: set[int] = set()
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        traceback.clear_frames(link.__traceback__)
        link = link.__cause__ or link.__context__


async def retried(operation: str, attempt: Callable[[bool], Awaitable[R]]) -> R:
    """Try again what may succeed in a moment; raises the last error. `operation` is for the metrics.

    An attempt is told whether it needs a fresh connection. It does after silence: what silenced one connection, such as
    a gateway that lost its table, has silenced those that idle beside it.

    Without tenacity: its loop costs 12 to 20 µs a call even if the first attempt succeeds, as nearly all do. That is as
    much as the signature; this loop costs 0.1 µs (Python 3.11).
    """
    fresh = False
    for attempt_number in range(1, MAX_ATTEMPTS):
        try:
            return await attempt(fresh)
        except _TRANSIENT as fault:
            _count(operation, fault)
            fresh = fresh or isinstance(fault, TimeoutError)
            await asyncio.sleep(_BACKOFF.delay(attempt_number))
    try:
        return await attempt(fresh)
    except Throttled as fault:
        _count(operation, fault)
        raise


def _count(operation: str, fault: Exception) -> None:
    if isinstance(fault, Throttled):
        AWS_THROTTLES.labels(operation).inc()
