"""The only module that uses aiohttp's undocumented parts. Read from aiohttp 3.14; pyproject.toml excludes 3.15.

Both HTTP clients (core/aws/http and consumer/fetching) use aiohttp's connections and parser without its session, which
has no API for that. tests/unit/core/test_aiohttp_internals.py fails if a release no longer has one of these parts.
Before a newer release is allowed, compare `client_proto.py`, `connector.py` and `base_protocol.py` with 3.14.
"""

import asyncio
import math
from functools import partial
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http import RawResponseMessage, StreamWriter
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

__all__ = [
    "Connection",
    "HandlerConnector",
    "HttpProcessingError",
    "PayloadErrorHandler",
    "RawResponseMessage",
    "ResponseHandler",
    "StreamWriter",
    "open_connection",
    "request_to",
]

TESTED_RELEASE = "3.14"


class PayloadErrorHandler(ResponseHandler):
    """Protocol of a connection that reports every error to the reader of the body.

    aiohttp leaves a reader waiting for ever, without a timeout, if the framing of the body breaks.

    Also, the read timeout costs no timer for each request: aiohttp makes one when a request is sent and one for each
    read, and cancels all. Here the timer of a connection stays set. When it fires, it is set again to the time that is
    valid then.
    """

    _silent_at = math.inf
    """When the read timeout is over, in seconds of the loop's clock."""
    _fires_at = math.inf
    """For when the timer is set; infinite without one."""

    def connection_lost(self, exc: BaseException | None) -> None:
        body = self._payload
        if body is not None and (body.is_eof() or body.exception() is not None):
            # aiohttp would set another error, also on a complete body if the parser refused bytes after it.
            self._payload = None
        super().connection_lost(exc)
        self._cancel_timer()

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Resume the parser and the transport if they are paused.

        aiohttp calls this after each chunk that is read. Without a pause it feeds the parser an empty chunk and resumes
        a transport that refuses it, which costs more than reading the chunk.
        """
        if self._reading_paused or self._buffer_paused:
            super().resume_reading(resume_parser)

    def _reschedule_timeout(self) -> None:
        if not self._read_timeout:
            self._drop_timeout()
            return
        self._silent_at = self._loop.time() + self._read_timeout
        if self._silent_at < self._fires_at:
            self._set_timer()

    def _drop_timeout(self) -> None:
        self._silent_at = math.inf

    def _set_timer(self) -> None:
        self._cancel_timer()
        self._fires_at = self._silent_at
        self._read_timeout_handle = self._loop.call_at(self._fires_at, self._check_timeout)

    def _cancel_timer(self) -> None:
        self._fires_at = math.inf
        if self._read_timeout_handle is not None:
            self._read_timeout_handle.cancel()
            self._read_timeout_handle = None

    def _check_timeout(self) -> None:
        # Not by the clock: uvloop rounds times to milliseconds, so its timers may be early.
        is_over = self._silent_at <= self._fires_at
        self._read_timeout_handle, self._fires_at = None, math.inf
        if is_over:
            self._on_read_timeout()
        elif self._silent_at < math.inf:
            self._set_timer()

    def set_exception(self, exc: BaseException, exc_cause: BaseException | None = None) -> None:
        super().set_exception(exc, exc if exc_cause is None else exc_cause)
        body = self._payload
        if body is not None and not body.is_eof() and body.exception() is None:
            known = isinstance(exc, aiohttp.ClientPayloadError)
            body.set_exception(
                exc if known else aiohttp.ClientPayloadError("the body broke off"), exc
            )

    def end_input(self) -> bool:
        """Tell the parser that no more bytes belong to the response. Returns whether the response is complete."""
        try:
            return self._parser is None or self._parser.feed_eof() is None
        except HttpProcessingError:
            return False


class HandlerConnector(aiohttp.TCPConnector):
    """A TCP connector whose connections use `handler` as their protocol. aiohttp accepts no protocol class."""

    def __init__(self, handler: type[ResponseHandler], **options: Any) -> None:
        super().__init__(**options)
        self._factory = partial(handler, loop=self._loop)


def request_to(url: URL, proxy: URL | None = None) -> aiohttp.ClientRequest:
    """Create the object that names a destination to a connector. Nothing else of it is used."""
    return aiohttp.ClientRequest("GET", url, loop=asyncio.get_running_loop(), proxy=proxy)


async def open_connection(
    connector: aiohttp.BaseConnector,
    destination: aiohttp.ClientRequest,
    limits: aiohttp.ClientTimeout,
) -> Connection:
    """Return a new or kept connection. Raises aiohttp.ClientError, OSError or TimeoutError."""
    return await connector.connect(destination, [], limits)
