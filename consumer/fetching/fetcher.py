"""Fetching one image from a stranger's server: one attempt, all its redirects, every limit.

Order of what a hop holds: a slot of its host, then bytes of the budget. Nobody waits for a slot
with bytes in hand, and each fetch reserves once, so waiting cannot become a circle. A look-up waits
for nothing: without a free thread it fails at once.
"""

from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aiohttp.abc import AbstractResolver

from consumer.fetching.body_budget import BodyBudget, BodyReservation, read_body
from consumer.fetching.bounded_handler import BoundedConnector
from consumer.fetching.connect_guard import ConnectGuard
from consumer.fetching.deadline import Deadline
from consumer.fetching.errors import TRANSPORT_ERRORS, to_image_failure
from consumer.fetching.host_limiter import HostBusy, HostLimiter
from consumer.fetching.http_client import Answer, OriginClient
from consumer.fetching.policy import FetchPolicy
from consumer.fetching.resolver import PooledResolver
from consumer.fetching.response import (
    REDIRECT_STATUSES,
    check_coding,
    check_status,
    declared_size,
    media_type,
    next_hop,
    recorded,
)
from core.errors import BlockedAddress, Timeout
from core.model.origin_url import InvalidOriginUrl, OriginUrl, parse_origin_url

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
    reservation: BodyReservation


class Attempt:
    """One fetch, made on entry to its `async with` block; its body is held until the block is left."""

    def __init__(self, attempt: Coroutine[Any, Any, tuple[Fetched, BodyReservation]]) -> None:
        self._attempt = attempt
        self._reservation: BodyReservation | None = None

    async def __aenter__(self) -> Fetched:
        fetched, self._reservation = await self._attempt
        return fetched

    async def __aexit__(self, *_: object) -> None:
        if self._reservation is not None:
            self._reservation.settle(0)


class Fetcher:
    """Fetches URLs under one policy. Made inside the running loop; `close` ends it."""

    def __init__(self, policy: FetchPolicy, *, resolver: AbstractResolver | None = None) -> None:
        """`resolver` becomes the fetcher's own and is closed with it."""
        self._policy = policy
        self._guard = ConnectGuard(policy.allowed_networks, nat64_allowed=policy.nat64_allowed)
        self._hosts = HostLimiter(policy.per_host_limit, max_wait=policy.per_host_wait)
        self._budget = BodyBudget(policy.body_budget_bytes, max_bytes=policy.max_bytes)
        self._resolver = resolver or PooledResolver()
        self._exchanges = OriginClient(
            BoundedConnector(self._resolver, self._guard),
            user_agent=policy.user_agent,
            connect_timeout=policy.connect_timeout,
            reuse_timeout=policy.reuse_timeout,
            per_host=policy.per_host_limit,
        )

    async def close(self) -> None:
        """Close connections and resolver."""
        await self._exchanges.close()
        await self._resolver.close()

    def fetch(self, url: str) -> "Attempt":
        """Make one attempt; the body counts against the byte budget until the block is left.

        A block must not fetch again: it would wait for bytes that it holds itself. Where a connection
        breaks before the answer, or one that had rested is silent, a new one is asked, once (RFC
        9110, section 9.2.2).
        Raises core.errors.ImageFailure, or HostBusy when the host had no slot, at once or in time, or
        its name no thread to be looked up in.
        """
        return Attempt(self._attempt(url))

    async def _attempt(self, url: str) -> tuple[Fetched, BodyReservation]:
        try:
            origin = parse_origin_url(url)
        except InvalidOriginUrl as fault:
            # Submit refuses these; one that is stored all the same is the guard's to stop.
            raise BlockedAddress(str(fault)) from fault
        try:
            async with Deadline(self._policy.total_timeout) as deadline:
                hop, redirects, content = await self._follow(origin, deadline)
        except TimeoutError:
            raise Timeout from None
        fetched = Fetched(
            body=content.body,
            final_url="" if hop.url == origin.url else hop.url,
            redirects=redirects,
            etag=content.etag,
            last_modified=content.last_modified,
            declared_media_type=content.declared_media_type,
        )
        return fetched, content.reservation

    async def _follow(
        self, origin: OriginUrl, deadline: Deadline
    ) -> tuple[OriginUrl, int, _Content]:
        """The last hop, the number of redirects before it, and what it gave."""
        hop, redirects = origin, 0
        while True:
            outcome = await self._ask(hop, deadline)
            if isinstance(outcome, _Content):
                return hop, redirects, outcome
            limit = self._policy.max_redirects
            hop = next_hop(hop, outcome.location, followed=redirects, limit=limit)
            redirects += 1

    async def _ask(self, hop: OriginUrl, deadline: Deadline) -> _Redirect | _Content:
        """One hop, in a slot of its host."""
        name = hop.host.removesuffix(".")
        if self._hosts.is_free(name):
            slot = await self._hosts.acquire(name)
        else:
            with deadline.paused():
                slot = await self._hosts.acquire(name)
        served = True
        try:
            with self._guard.recording() as recording:
                try:
                    return await self._exchange(hop, deadline)
                except TRANSPORT_ERRORS as error:
                    raise to_image_failure(error, refused=bool(recording.refusals)) from error
        except HostBusy:  # no thread to look its name up
            served = False
            raise
        finally:
            self._hosts.release(slot, served=served)

    async def _exchange(self, hop: OriginUrl, deadline: Deadline) -> _Redirect | _Content:
        answer = await self._exchanges.get(hop)
        try:
            if answer.status in REDIRECT_STATUSES:
                return _Redirect(answer.headers.get("Location"))
            return await self._receive(answer, deadline)
        finally:
            answer.let_go()

    async def _receive(self, answer: Answer, deadline: Deadline) -> _Content:
        policy, headers = self._policy, answer.headers
        check_status(answer.status, headers.get("Retry-After"), datetime.now(UTC))
        check_coding(headers.get("Content-Encoding"))
        size = declared_size(headers, policy.max_bytes)
        reservation = self._budget.reserve(size)
        if self._budget.fits(size):
            await reservation.take()
        else:
            with deadline.paused():
                await reservation.take()
        try:
            body = await read_body(
                answer.content,
                max_bytes=reservation.size,
                min_rate=policy.min_rate,
                window=policy.rate_window,
                grace=policy.rate_grace,
            )
        except BaseException:
            reservation.settle(0)
            raise
        reservation.settle(len(body))
        return _Content(
            body=body,
            etag=recorded(headers.get("ETag")),
            last_modified=recorded(headers.get("Last-Modified")),
            declared_media_type=media_type(headers.get("Content-Type")),
            reservation=reservation,
        )
