"""HTTP client for origins: sends one GET and reads the head of its response.

aiohttp connects and parses. Its `ClientSession` is not used: its connection pool accepts a response that
was sent before the request, and has no limit on bytes outside the body. Cookies, proxies, stored
passwords, decompression and redirects of a session must all stay off here too; the fetcher has its own (ADR 12).
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import aiohttp
from aiohttp import ClientTimeout, StreamReader
from multidict import MultiMapping
from yarl import URL

from consumer.fetching.http.bounded_handler import (
    INTERIM_STATUSES,
    BoundedConnector,
    BoundedHandler,
)
from consumer.fetching.http.connection_pool import ConnectionPool, Endpoint, OriginConnection
from consumer.fetching.http.response_head import LastingDefect
from core.aiohttp_internals import HttpProcessingError, open_connection, request_to
from core.errors import (
    BadResponse,
    BrokenResponse,
    ConnectFailed,
    DnsFailed,
    ImageFailure,
    Timeout,
    TlsFailed,
)
from core.model.origin_url import OriginUrl
from core.runtime.deadline import Deadline

TRANSPORT_ERRORS = (aiohttp.ClientError, OSError, IndexError)
"""Errors that aiohttp raises. It raises IndexError if the guard blocks each address of a host."""

_SWITCHING_PROTOCOLS = 101

_FAILURES: tuple[tuple[type[Exception], type[ImageFailure]], ...] = (
    (aiohttp.ClientConnectorDNSError, DnsFailed),
    (aiohttp.ClientConnectorCertificateError, TlsFailed),
    (TimeoutError, Timeout),
    (aiohttp.ClientPayloadError, BrokenResponse),
    (aiohttp.ClientResponseError, BrokenResponse),
    (aiohttp.InvalidURL, BrokenResponse),
)
"""The first that fits decides; an error that is not here means that no connection was made, or that it was lost."""

NO_HEADERS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class OriginResponse:
    """The head of a final response, and the stream of its body.

    Holds its connection. The caller must call `release` in every case.
    """

    status: int
    headers: MultiMapping[str]
    content: StreamReader
    _connection: OriginConnection
    _pool: ConnectionPool

    def release(self) -> None:
        """Return the connection to the pool if the response was read to its end, else close it.

        After status 101 the connection no longer speaks HTTP, so it is closed.
        """
        if self.content.at_eof() and self.status != _SWITCHING_PROTOCOLS:
            self._pool.release(self._connection)
        else:
            self._connection.close()


class OriginClient:
    """Sends GET requests to origins over pooled connections."""

    def __init__(
        self,
        connector: BoundedConnector,
        *,
        user_agent: str,
        connect_timeout: float,
        reuse_timeout: float,
        per_host: int,
    ) -> None:
        """Take ownership of the connector.

        connect_timeout: seconds for the DNS lookup, TCP and TLS together.
        reuse_timeout: seconds in which a reused connection must receive its first byte.
        per_host: idle connections kept for one endpoint.
        """
        self._connector = connector
        self._reuse_timeout = reuse_timeout
        self._timeout = ClientTimeout(total=None, connect=connect_timeout)
        self._pool = ConnectionPool(per_host=per_host)
        self._loop = asyncio.get_running_loop()
        self._headers = {
            "User-Agent": user_agent,
            "Accept": "image/*",
            "Accept-Encoding": "identity",
        }
        self._fields = _encode_fields(self._headers)

    async def close(self) -> None:
        self._pool.close()
        await self._connector.close()

    async def get(
        self, hop: OriginUrl, headers: Mapping[str, str] = NO_HEADERS, fields: bytes = b""
    ) -> OriginResponse:
        """Send a GET; if the connection breaks before the response, repeat it on a new connection.

        headers: of this request alone; one with the name of a header of ours replaces it. fields: further lines of the
        head, each with its end.
        RFC 9110, section 9.2.2 allows a client to repeat a GET. A reused connection is also replaced
        if it stays silent for `reuse_timeout`, or if anything but a response arrives on it: the
        origin may have closed it just before, it may hold bytes sent after the last response, or a
        device on the way may have forgotten it.
        Raises TRANSPORT_ERRORS.
        """
        endpoint = Endpoint(hop.scheme, hop.host, hop.port)
        line = f"GET {hop.target} HTTP/1.1\r\nHost: {_host_field(hop)}\r\n"
        rest = self._fields_with(headers) if headers else self._fields
        request = b"%b%b%b" % (line.encode(), fields, rest)
        reused = self._pool.acquire(endpoint)
        connection = reused or await self._connect(endpoint, hop)
        first_byte_timeout = None if reused is None else self._reuse_timeout
        try:
            return await self._send(connection, request, first_byte_timeout)
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError):
            pass
        except aiohttp.ClientError:
            if reused is None:
                raise
        return await self._send(await self._connect(endpoint, hop), request)

    def _fields_with(self, headers: Mapping[str, str]) -> bytes:
        given = {name.lower() for name in headers}
        ours = {name: value for name, value in self._headers.items() if name.lower() not in given}
        return _encode_fields({**ours, **headers})

    async def _connect(self, endpoint: Endpoint, hop: OriginUrl) -> OriginConnection:
        url = URL(f"{hop.scheme}://{hop.authority}/", encoded=True)
        try:
            connection = await open_connection(self._connector, request_to(url), self._timeout)
        except TimeoutError as error:
            raise aiohttp.ConnectionTimeoutError from error
        return OriginConnection(endpoint, connection, self._loop.time())

    async def _send(
        self, connection: OriginConnection, request: bytes, first_byte_timeout: float | None = None
    ) -> OriginResponse:
        """Write the request and read the head of the response.

        first_byte_timeout: seconds until the first byte; None leaves the limit to the caller.
        """
        protocol = connection.protocol
        if protocol is None or protocol.transport is None:
            connection.close()
            raise aiohttp.ServerDisconnectedError
        try:
            # No decompression: a compressed body can expand to any size.
            protocol.set_response_params(auto_decompress=False, read_until_eof=True)
            protocol.transport.write(request)
            return await self._read_with_timeout(connection, protocol, first_byte_timeout)
        except HttpProcessingError as fault:
            connection.close()
            raise LastingDefect("its head is not valid") from fault
        except BaseException:
            connection.close()
            raise

    async def _read_with_timeout(
        self,
        connection: OriginConnection,
        protocol: BoundedHandler,
        first_byte_timeout: float | None,
    ) -> OriginResponse:
        if first_byte_timeout is None:
            return await self._read_head(connection, protocol)
        try:
            with Deadline(first_byte_timeout):
                return await self._read_head(connection, protocol)
        except TimeoutError:
            if not protocol.has_received:
                raise aiohttp.SocketTimeoutError from None
        # The response has begun, slowly. The limits of a new connection apply from here on.
        return await self._read_head(connection, protocol)

    async def _read_head(
        self, connection: OriginConnection, protocol: BoundedHandler
    ) -> OriginResponse:
        """Skip interim responses (RFC 9110, section 15.2). BoundedHandler limits their number."""
        while True:
            message, content = await protocol.read()
            if message.code not in INTERIM_STATUSES:
                return OriginResponse(
                    message.code, message.headers, content, connection, self._pool
                )


def _encode_fields(headers: Mapping[str, str]) -> bytes:
    fields = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    return f"{fields}\r\n".encode()


def _host_field(hop: OriginUrl) -> str:
    """Return the Host header without a final dot: servers compare it to names without one."""
    return hop.authority.replace(hop.host, hop.host.removesuffix("."), 1)


def to_image_failure(error: Exception, *, blocked: ImageFailure | None) -> ImageFailure:
    """Translate one of TRANSPORT_ERRORS into a failure of the image.

    blocked: the failure if the guard blocked an address. It decides only if no connection was made, for a
    host may have other addresses.
    Only a LastingDefect has a detail: aiohttp's texts contain addresses that customers must not see.
    """
    if blocked is not None and is_connect_error(error):
        return blocked
    if isinstance(error, LastingDefect):
        return BadResponse(str(error))
    return next(
        (failure() for kind, failure in _FAILURES if isinstance(error, kind)), ConnectFailed()
    )


def is_connect_error(error: Exception) -> bool:
    """Return whether one of TRANSPORT_ERRORS means that no connection was made."""
    if isinstance(error, aiohttp.ClientSSLError):
        return False
    return isinstance(
        error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError | IndexError
    )
