"""Fetching one image from a stranger's server: one attempt, all its redirects, every limit.

Order of what a hop holds: a slot of its host, then bytes of the budget. Nobody waits for a slot
with bytes in hand, and each fetch reserves once, so waiting cannot become a circle. A look-up waits
for nothing: without a free thread it fails at once.
"""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from consumer.fetching.body import read_body
from consumer.fetching.body_budget import BodyBudget
from consumer.fetching.connect_guard import ConnectGuard
from consumer.fetching.connector import BoundedConnector
from consumer.fetching.deadline import Deadline
from consumer.fetching.fetch_policy import FetchPolicy
from consumer.fetching.politeness import HostLimiter
from consumer.fetching.redirects import REDIRECT_STATUSES, next_hop
from consumer.fetching.resolver import PooledResolver
from consumer.fetching.response import (
    check_coding,
    check_status,
    declared_size,
    media_type,
    recorded,
)
from consumer.fetching.transport_error import TRANSPORT_ERRORS, as_failure
from core.errors import BlockedAddress, Timeout
from core.origin_url import InvalidOriginUrl, OriginUrl, parse_origin_url

__all__ = ["FetchPolicy", "Fetched", "Fetcher"]


@dataclass(frozen=True, slots=True)
class Fetched:
    """A body as it arrived, and what the origin said about it, which is recorded but not trusted.

    `final_url` is empty where it is the URL asked for. Headers are empty where absent, longer than
    256 characters or not printable ASCII.
    """

    body: bytes
    final_url: str
    redirects: int
    etag: str
    last_modified: str
    declared_media_type: str


@dataclass(frozen=True, slots=True)
class _Redirect:
    location: str | None


@dataclass(frozen=True, slots=True)
class _Content:
    body: bytes
    etag: str
    last_modified: str
    declared_media_type: str


class Fetcher:
    """Fetches URLs under one policy. Made inside the running loop; `close` ends it."""

    def __init__(self, policy: FetchPolicy, *, resolver: AbstractResolver | None = None) -> None:
        """`resolver` becomes the fetcher's own and is closed with it."""
        self._policy = policy
        self._guard = ConnectGuard(policy.allowed_networks, nat64_allowed=policy.nat64_allowed)
        self._hosts = HostLimiter(policy.per_host_limit, max_wait=policy.per_host_wait)
        self._budget = BodyBudget(policy.body_budget_bytes, max_bytes=policy.max_bytes)
        self._resolver = resolver or PooledResolver()
        self._session = aiohttp.ClientSession(
            connector=BoundedConnector(self._resolver, self._guard),
            # Cookies and the environment's proxies and passwords belong to nobody's image.
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=None, connect=policy.connect_timeout),
            headers={
                "User-Agent": policy.user_agent,
                "Accept": "image/*",
                "Accept-Encoding": "identity",
            },
        )

    async def close(self) -> None:
        """Close connections and resolver."""
        await self._session.close()
        await self._resolver.close()

    @contextlib.asynccontextmanager
    async def fetch(self, url: str) -> AsyncIterator[Fetched]:
        """Make one attempt; the body counts against the byte budget until the block is left.

        A block must not fetch again: it would wait for bytes that it holds itself. A connection
        that breaks before the answer is asked anew once by aiohttp (RFC 9110, section 9.2.2).
        Raises core.errors.ImageFailure, or HostBusy when the host had no slot in time or its
        name no thread to be looked up in.
        """
        try:
            origin = parse_origin_url(url)
        except InvalidOriginUrl as fault:
            # Submit refuses these; one that is stored all the same is the guard's to stop.
            raise BlockedAddress(str(fault)) from fault
        async with contextlib.AsyncExitStack() as held:
            try:
                async with Deadline(self._policy.total_timeout) as deadline:
                    fetched = await self._follow(origin, deadline, held)
            except TimeoutError:
                raise Timeout from None
            yield fetched

    async def _follow(
        self, origin: OriginUrl, deadline: Deadline, held: contextlib.AsyncExitStack
    ) -> Fetched:
        hop, redirects = origin, 0
        while True:
            async with self._slot(hop.host, deadline):
                outcome = await self._ask(hop, deadline, held)
            if isinstance(outcome, _Content):
                break
            limit = self._policy.max_redirects
            hop = next_hop(hop, outcome.location, followed=redirects, limit=limit)
            redirects += 1
        return Fetched(
            body=outcome.body,
            final_url="" if hop.url == origin.url else hop.url,
            redirects=redirects,
            etag=outcome.etag,
            last_modified=outcome.last_modified,
            declared_media_type=outcome.declared_media_type,
        )

    @contextlib.asynccontextmanager
    async def _slot(self, host: str, deadline: Deadline) -> AsyncIterator[None]:
        name = host.removesuffix(".")
        with deadline.paused():
            await self._hosts.acquire(name)
        try:
            yield
        finally:
            self._hosts.release(name)

    async def _ask(
        self, hop: OriginUrl, deadline: Deadline, held: contextlib.AsyncExitStack
    ) -> _Redirect | _Content:
        # `encoded`: yarl would rewrite escapes, and with them break signed URLs.
        url = URL(hop.request_url, encoded=True)
        with self._guard.recording() as recording:
            try:
                async with self._session.get(url, allow_redirects=False) as response:
                    if response.status in REDIRECT_STATUSES:
                        return _Redirect(response.headers.get("Location"))
                    return await self._receive(response, deadline, held)
            except TRANSPORT_ERRORS as error:
                raise as_failure(error, refused=bool(recording.refusals)) from error

    async def _receive(
        self, response: aiohttp.ClientResponse, deadline: Deadline, held: contextlib.AsyncExitStack
    ) -> _Content:
        policy, headers = self._policy, response.headers
        check_status(response.status, headers.get("Retry-After"), datetime.now(UTC))
        check_coding(headers.get("Content-Encoding"))
        size = declared_size(headers, policy.max_bytes)
        with deadline.paused():
            reservation = await held.enter_async_context(self._budget.reserve(size))
        body = await read_body(
            response.content,
            max_bytes=reservation.size,
            min_rate=policy.min_rate,
            window=policy.rate_window,
            grace=policy.rate_grace,
        )
        reservation.settle(len(body))
        return _Content(
            body=body,
            etag=recorded(headers.get("ETag")),
            last_modified=recorded(headers.get("Last-Modified")),
            declared_media_type=media_type(headers.get("Content-Type")),
        )
