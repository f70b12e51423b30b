"""The way to an OpenSearch: one pool of connections, no second tries, and three kinds of trouble."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

import orjson
import urllib3
from botocore.exceptions import BotoCoreError
from opensearchpy import (
    AsyncHttpConnection,
    AsyncOpenSearch,
    OpenSearchException,
    TransportError,
)

from core.errors import SearchUnavailable
from core.search.metrics import SEARCH_ENGINE_CALL_SECONDS, SEARCH_ENGINE_CALLS
from core.search.opensearch.query_dsl import MalformedAnswer
from core.search.opensearch.sigv4 import Signer

CONNECTIONS = 64
_TOO_MANY_REQUESTS = 429
_SERVER_ERROR = 500
_REASON = 300
_UNREACHED = (TransportError, BotoCoreError, OSError)

R = TypeVar("R")


class SearchRefused(SearchUnavailable):
    """It answered, and says that it will not do this: the call or the installation is at fault, not its health."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class SearchUnreachable(SearchUnavailable):
    """It cannot be asked anything: nobody listens, or there are no credentials."""


class Link:
    """Connections to the OpenSearch at `url`, made when first used. `seconds` is the longest that a call takes."""

    def __init__(self, url: str, *, seconds: float, signed: bool = False) -> None:
        self._seconds = seconds
        self._signer = Signer() if signed else None
        # It would write each failed call's traceback, and addresses of ours with it; whoever calls says what failed.
        logging.getLogger("opensearch").setLevel(logging.CRITICAL)
        self._client = AsyncOpenSearch(
            hosts=[_host(url)],
            connection_class=AsyncHttpConnection,
            pool_maxsize=CONNECTIONS,
            # The time of a whole call is what is limited, below.
            timeout=None,
            max_retries=0,
            retry_on_status=(),
            http_auth=self._signer,
        )

    async def call(
        self,
        operation: str,
        command: Callable[[AsyncOpenSearch], Awaitable[R]],
        *,
        seconds: float | None = None,
    ) -> R:
        """Raises SearchUnavailable; SearchRefused where an answer came that is no matter of health.

        `seconds` is what this call may take, where that is not what others may.
        """
        started = time.perf_counter()
        outcome = "cancelled"
        try:
            async with asyncio.timeout(seconds or self._seconds):
                if self._signer is not None:
                    await self._signer.renew()
                answer = await command(self._client)
        except (
            OpenSearchException,
            MalformedAnswer,
            BotoCoreError,
            OSError,
            TimeoutError,
        ) as error:
            outcome = "unavailable"
            raise _told(operation, error) from error
        else:
            outcome = "ok"
            return answer
        finally:
            SEARCH_ENGINE_CALLS.labels(operation, outcome).inc()
            SEARCH_ENGINE_CALL_SECONDS.labels(operation).observe(time.perf_counter() - started)

    async def close(self) -> None:
        await self._client.close()


def _host(url: str) -> dict[str, Any]:
    """What the client wants to be told of a URL; name and password go into a header, where no log shows them."""
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    named = parts.username is not None
    secret = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
    return {
        "host": parts.hostname,
        "port": parts.port or (443 if secure else 80),
        "use_ssl": secure,
        "url_prefix": parts.path.rstrip("/"),
        "headers": urllib3.make_headers(basic_auth=secret) if named else None,
    }


def _told(operation: str, error: Exception) -> SearchUnavailable:
    status = error.status_code if isinstance(error, TransportError) else None
    if not isinstance(status, int):
        # Every TimeoutError is empty.
        message = f"{operation}: {str(error) or type(error).__name__}"
        if isinstance(error, _UNREACHED) and not isinstance(error, TimeoutError):
            return SearchUnreachable(message)
        return SearchUnavailable(message)
    message = f"{operation}: {status} {_reason(str(error.args[1]))}"
    if status < _SERVER_ERROR and status != _TOO_MANY_REQUESTS:
        return SearchRefused(message, status)
    return SearchUnavailable(message)


def _reason(answer: str) -> str:
    """The engine's words, or whatever a machine before it said."""
    try:
        error = orjson.loads(answer)["error"]
        (cause, *_) = error.get("root_cause") or [error]
        return f"{cause['type']}: {cause['reason']}"[:_REASON]
    except (AttributeError, LookupError, TypeError, ValueError):
        return answer[:_REASON]
