"""The client of an OpenSearch: one connection pool, one timeout per call, no retries, signed calls if needed."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

import urllib3
from aiobotocore.session import get_session
from botocore.exceptions import NoCredentialsError, NoRegionError
from opensearchpy import AsyncHttpConnection, AsyncOpenSearch, AWSV4SignerAsyncAuth

from core.answers import decode_answer
from core.search.metrics import SEARCH_ENGINE_CALL_SECONDS, SEARCH_ENGINE_CALLS
from core.search.opensearch.errors import CALL_ERRORS, to_search_error

CONNECTIONS = 64
_SIGNED_SERVICE = "es"
_SIGNED_HEADERS = ("content-type", "host")
"""Proxies on the way may change all other headers."""

R = TypeVar("R")
Command = Callable[[AsyncOpenSearch], Awaitable[Any]]
"""Makes a call through the library, whose types do not describe its answer."""


class OpenSearchClient:
    """Calls the OpenSearch at `url`, by default for `seconds` at most. Connections are made at first use."""

    def __init__(self, url: str, *, seconds: float, signed: bool = False) -> None:
        self._seconds = seconds
        self._signer = Signer() if signed else None
        self._client = AsyncOpenSearch(
            hosts=[_host_options(url)],
            connection_class=AsyncHttpConnection,
            pool_maxsize=CONNECTIONS,
            # `call` limits the time of a whole call.
            timeout=None,
            max_retries=0,
            retry_on_status=(),
            http_auth=self._signer,
        )

    async def call(
        self,
        operation: str,
        command: Command,
        decode: Callable[[Any], R],
        *,
        seconds: float | None = None,
    ) -> R:
        """Make one call, count it as `operation`, and return its decoded answer.

        `decode` is the decoder of `command` (core/answers.py). `seconds` replaces the client's own limit. Raises
        SearchUnavailable, also if the answer is malformed, or its subclass SearchRejected.
        """
        started = time.perf_counter()
        outcome = "cancelled"
        try:
            async with asyncio.timeout(seconds or self._seconds):
                if self._signer is not None:
                    await self._signer.refresh()
                answer = await command(self._client)
            decoded = decode_answer(decode, answer)
        except CALL_ERRORS as error:
            outcome = "unavailable"
            raise to_search_error(operation, error) from error
        else:
            outcome = "ok"
            return decoded
        finally:
            SEARCH_ENGINE_CALLS.labels(operation, outcome).inc()
            SEARCH_ENGINE_CALL_SECONDS.labels(operation).observe(time.perf_counter() - started)

    async def close(self) -> None:
        await self._client.close()


class Signer:
    """Signs calls to an Amazon OpenSearch Service domain with the credentials of the process (SigV4).

    Fetching credentials is I/O, and signing is synchronous: call `refresh` before each call.
    """

    def __init__(self) -> None:
        self._session = get_session()
        self._credentials: Any = None
        self._sign: AWSV4SignerAsyncAuth | None = None

    async def refresh(self) -> None:
        """Raises botocore's errors."""
        if self._credentials is None:
            self._credentials = await self._session.get_credentials()
        if self._credentials is None:
            raise NoCredentialsError
        region = self._session.get_config_variable("region")
        if region is None:
            raise NoRegionError
        frozen = await self._credentials.get_frozen_credentials()
        self._sign = AWSV4SignerAsyncAuth(frozen, region, _SIGNED_SERVICE)

    def __call__(
        self, method: str, url: str, body: str | bytes | None, headers: Mapping[str, str]
    ) -> dict[str, str]:
        """Return the headers to add. OpenSearch's client calls this for each request."""
        if self._sign is None:
            raise NoCredentialsError
        signed = {name: value for name, value in headers.items() if name.lower() in _SIGNED_HEADERS}
        return self._sign(method, url, body, signed)


def _host_options(url: str) -> dict[str, Any]:
    """Return the host options of OpenSearch's client. User name and password go into a header, so no log has them."""
    parts = urlsplit(url)
    tls = parts.scheme == "https"
    userinfo = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
    return {
        "host": parts.hostname,
        "port": parts.port or (443 if tls else 80),
        "use_ssl": tls,
        "url_prefix": parts.path.rstrip("/"),
        "headers": None if parts.username is None else urllib3.make_headers(basic_auth=userinfo),
    }
