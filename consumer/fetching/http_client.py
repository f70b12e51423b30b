"""One GET and the head of its answer, over a connection that may have served before.

aiohttp makes the connection and parses what arrives. Its session is left out: cookies, proxies, stored passwords,
decompression and redirects are all to be kept off here, and make up most of a small request's cost.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp
from aiohttp import ClientRequest, ClientTimeout, StreamReader
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from consumer.fetching.bounded_handler import INTERIM, BoundedConnector, BoundedHandler
from consumer.fetching.connection_pool import ConnectionPool, Endpoint, OriginConnection
from core.model.origin_url import OriginUrl

_SWITCHING_PROTOCOLS = 101


@dataclass(frozen=True, slots=True)
class Answer:
    """The head of a final response, and the body that follows it.

    Holds its connection until `let_go`, which must be called whatever happens.
    """

    status: int
    headers: Mapping[str, str]
    content: StreamReader
    _connection: OriginConnection
    _idle: ConnectionPool

    def let_go(self) -> None:
        """Keep the connection where the exchange has ended in full; close it otherwise.

        After 101 it no longer speaks HTTP, whatever else the answer says.
        """
        if self.content.at_eof() and self.status != _SWITCHING_PROTOCOLS:
            self._idle.keep(self._connection)
        else:
            self._connection.close()


class OriginClient:
    """Asks origins. `per_host` bounds the connections that rest for one host."""

    def __init__(
        self,
        connector: BoundedConnector,
        *,
        user_agent: str,
        connect_timeout: float,
        reuse_timeout: float,
        per_host: int,
    ) -> None:
        """The connector becomes this object's own.

        `connect_timeout` is in seconds, the look-up included. Within `reuse_timeout`, in seconds too, a connection that
        had rested must give its first byte.
        """
        self._connector = connector
        self._reuse_timeout = reuse_timeout
        self._timeout = ClientTimeout(total=None, connect=connect_timeout)
        self._idle = ConnectionPool(per_host=per_host)
        self._loop = asyncio.get_running_loop()
        self._fields = (
            f"User-Agent: {user_agent}\r\nAccept: image/*\r\nAccept-Encoding: identity\r\n\r\n"
        ).encode()

    async def close(self) -> None:
        """Close every connection."""
        self._idle.close()
        await self._connector.close()

    async def get(self, hop: OriginUrl) -> Answer:
        """Ask once, and once more over a new connection where the first breaks before it answers.

        RFC 9110, section 9.2.2: a GET may be repeated. One that had rested may have been closed by the origin just
        then, hold what the origin sent after the last answer, or lead nowhere since something on the way forgot it; so
        there anything but an answer counts as a break, and so does silence.
        Raises transport_error.TRANSPORT_ERRORS.
        """
        endpoint = Endpoint(hop.scheme, hop.host, hop.port)
        request = (
            f"GET {hop.target} HTTP/1.1\r\nHost: {_host_field(hop)}\r\n".encode() + self._fields
        )
        rested = self._idle.take(endpoint)
        connection = rested or await self._connect(endpoint, hop)
        patience = None if rested is None else self._reuse_timeout
        try:
            return await self._ask(connection, request, patience)
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError):
            pass
        except aiohttp.ClientError:
            if rested is None:
                raise
        return await self._ask(await self._connect(endpoint, hop), request)

    async def _connect(self, endpoint: Endpoint, hop: OriginUrl) -> OriginConnection:
        url = URL(f"{hop.scheme}://{hop.authority}/", encoded=True)
        request = ClientRequest("GET", url, loop=self._loop)
        try:
            connection = await self._connector.connect(request, [], self._timeout)
        except TimeoutError as error:
            raise aiohttp.ConnectionTimeoutError from error
        return OriginConnection(endpoint, connection, self._loop.time())

    async def _ask(
        self, connection: OriginConnection, request: bytes, patience: float | None = None
    ) -> Answer:
        """`patience` is in seconds, for the first byte; None for as long as the caller waits."""
        protocol = connection.protocol
        if protocol is None or protocol.transport is None:
            connection.close()
            raise aiohttp.ServerDisconnectedError
        try:
            # What is coded could unfold to any size.
            protocol.set_response_params(auto_decompress=False, read_until_eof=True)
            protocol.transport.write(request)
            return await self._hear(connection, protocol, patience)
        except HttpProcessingError as fault:
            connection.close()
            raise aiohttp.ClientPayloadError("the answer is not HTTP") from fault
        except BaseException:
            connection.close()
            raise

    async def _hear(
        self, connection: OriginConnection, protocol: BoundedHandler, patience: float | None
    ) -> Answer:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                return await self._read_head(connection, protocol)
        if not protocol.heard:
            raise aiohttp.SocketTimeoutError
        # It has begun to answer, if slowly: from here on it is an origin like any other.
        return await self._read_head(connection, protocol)

    async def _read_head(self, connection: OriginConnection, protocol: BoundedHandler) -> Answer:
        """Pass over interim responses (RFC 9110, section 15.2); their number is the handler's to bound."""
        while True:
            message, content = await protocol.read()
            if message.code not in INTERIM:
                return Answer(message.code, message.headers, content, connection, self._idle)


def _host_field(hop: OriginUrl) -> str:
    """Servers compare it to the names they know, which are written without the final dot."""
    return hop.authority.replace(hop.host, hop.host.removesuffix("."), 1)
