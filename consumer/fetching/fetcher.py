"""Fetches one image from an untrusted origin: one attempt with its redirects, within every limit.

Waiting for our own limits is not the origin's fault, and does not use up its time.

A hop holds a slot of its host first, then bytes of the budget. No fetch waits for a slot while it holds bytes, and each
fetch reserves bytes once, so there is no deadlock. A DNS lookup never waits: without a free thread it fails at once.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Self

from aiohttp.abc import AbstractResolver

from consumer.byte_budget import Reservation
from consumer.fetching.address import blocked_failure
from consumer.fetching.body_budget import BodyBudget, BodyReservation, read_body
from consumer.fetching.connect_guard import ConnectGuard, Connects
from consumer.fetching.hop_headers import (
    CredentialsFor,
    HopHeaders,
    Validator,
    is_conditional,
    no_credentials,
)
from consumer.fetching.http.bounded_handler import BoundedConnector
from consumer.fetching.http.client import (
    TRANSPORT_ERRORS,
    OriginClient,
    OriginResponse,
    is_connect_error,
    to_image_failure,
)
from consumer.fetching.http.content_codings import BodyDecoder, decoding_bytes, parse_codings
from consumer.fetching.http.response import (
    NOT_MODIFIED,
    OK,
    REDIRECT_STATUSES,
    check_status,
    parse_content_length,
    read_provenance,
    resolve_redirect,
)
from consumer.fetching.http.robots import find_opt_out, product_of
from consumer.fetching.limits.host_condition import Answer, answer_of
from consumer.fetching.limits.host_customer import HostBusy
from consumer.fetching.limits.host_limiter import HostLimiter
from consumer.fetching.networks import IPNetwork
from consumer.fetching.resolver import PooledResolver
from consumer.metrics import FETCH_FAILURES, RESTRICTED_ORIGINS
from consumer.slot_limiter import Slot
from core.errors import (
    BlockedAddress,
    DnsFailed,
    ImageFailure,
    OptedOut,
    OriginError,
    RateLimited,
    Timeout,
)
from core.model.image import Provenance
from core.model.object_url import is_object_url
from core.model.origin_url import InvalidOriginUrl, OriginUrl, parse_origin_url
from core.redis.shared_limits import SharedLimits
from core.runtime.deadline import Deadline
from core.runtime.metrics import counter

MIN_LOOKUP_S = 0.25
"""A name that fails takes at least this long. An internal name is found faster, and is cached, while a name that does
not exist is looked up in every search domain. Their customer must not be able to measure the difference."""


@dataclass(frozen=True, slots=True)
class FetchPolicy:
    """Limits of the fetcher. The defaults are safe. Times are in seconds; consumer/settings.py describes the fields.

    reuse_timeout       time in which a reused connection must receive its first byte; after that the request is sent
                        on a new connection, within total_timeout
    total_timeout       for all hops and the body; waiting for our own limits does not count
    rate_grace          time before the first window begins
    per_host_wait       wait for per_host_limit before HostBusy; few may wait, the next one gets HostBusy at once
    body_budget_bytes   large bodies and those of unknown size use half of it at most while they arrive
    """

    connect_timeout: float = 5.0
    reuse_timeout: float = 5.0
    total_timeout: float = 30.0
    min_rate: int = 1_024
    rate_window: float = 5.0
    rate_grace: float = 5.0
    max_bytes: int = 20 * 1_024 * 1_024
    max_redirects: int = 5
    per_host_limit: int = 8
    per_host_wait: float = 2.0
    body_budget_bytes: int = 256 * 1_024 * 1_024
    allowed_networks: tuple[IPNetwork, ...] = ()
    nat64_allowed: bool = False
    user_agent: str = "imageservice/1 (image fetcher)"
    respected_opt_outs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.body_budget_bytes < self.max_bytes:
            raise ValueError("body_budget_bytes must be at least max_bytes, or no body would fit")
        if not self.user_agent.isprintable():
            raise ValueError("user_agent must be one printable line: it is sent as a header")


@dataclass(slots=True)
class FetchResult:
    """A body as it arrived, and headers of the origin, which are recorded but not trusted.

    A header is empty if it is absent, longer than 256 characters or not printable ASCII. A context manager: the body
    counts against the byte budget until the block ends. modified: False if the origin has answered that it still has
    the version of the validator; then there is no body.
    """

    body: bytes
    provenance: Provenance
    reservation: Reservation | None = field(default=None, repr=False, compare=False)
    modified: bool = True

    def forget_body(self) -> None:
        """Free the body. Its bytes stay reserved, for the body that takes its place."""
        self.body = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.reservation is not None:
            self.reservation.shrink(0)


FetchObject = Callable[[str, str, Validator | None, BodyBudget], Awaitable[FetchResult]]


@dataclass(frozen=True, slots=True)
class _Redirect:
    locations: list[str]
    set_cookies: list[str] = field(repr=False)


class Fetcher:
    """Fetches URLs under one policy. Create it inside the running loop, and `close` it."""

    def __init__(
        self,
        policy: FetchPolicy,
        *,
        resolver: AbstractResolver | None = None,
        credentials_for: CredentialsFor = no_credentials,
        fetch_object: FetchObject | None = None,
        shared: SharedLimits | None = None,
    ) -> None:
        """Take ownership of `resolver`. `fetch_object` fetches s3:// URLs; `shared` are limits of all consumers."""
        self._policy = policy
        self._product = product_of(policy.user_agent)
        self._fetch_object = fetch_object
        self._credentials_for = credentials_for
        self._guard = ConnectGuard(
            policy.allowed_networks,
            nat64_allowed=policy.nat64_allowed,
            waiting_per_address=policy.per_host_limit,
        )
        self._hosts = HostLimiter(
            policy.per_host_limit, max_wait=policy.per_host_wait, shared=shared
        )
        self._renewing = (
            None if shared is None else asyncio.create_task(self._hosts.renew_forever(shared))
        )
        self._budget = BodyBudget(policy.body_budget_bytes, max_bytes=policy.max_bytes)
        self._decoder = BodyDecoder()
        self._resolver = resolver or PooledResolver()
        self._client = OriginClient(
            BoundedConnector(self._resolver, self._guard),
            user_agent=policy.user_agent,
            connect_timeout=policy.connect_timeout,
            reuse_timeout=policy.reuse_timeout,
            per_host=policy.per_host_limit,
        )

    async def close(self) -> None:
        if self._renewing is not None:
            self._renewing.cancel()
        await self._client.close()
        await self._resolver.close()
        self._decoder.close()

    async def fetch(
        self, url: str, customer_id: str = "", validator: Validator | None = None
    ) -> FetchResult:
        """Make one attempt, with the customer's credentials. Enter the result, without an await in between.

        `validator` makes the request conditional. Do not fetch inside its block: the second fetch could wait for bytes
        that the first holds. If a connection breaks before the response, or a reused one stays silent, the request is
        sent once more on a new connection (RFC 9110, section 9.2.2).
        Raises core.errors.ImageFailure, but not for a refusal (429, or 503 with Retry-After), which is no attempt.
        Raises HostBusy, at once or after `per_host_wait`, if the host has no free slot, refuses requests or does not
        answer, or if no thread is free to look up its name.
        """
        if self._fetch_object is not None and is_object_url(url):
            return await self._fetch_object(url, customer_id, validator, self._budget)
        try:
            origin = parse_origin_url(url)
        except InvalidOriginUrl as fault:
            # SubmitImage rejects these. If one is stored all the same, it is blocked here.
            raise BlockedAddress(str(fault)) from fault
        try:
            with Deadline(self._policy.total_timeout) as deadline:
                headers = HopHeaders(origin, customer_id, self._credentials_for, validator)
                return await self._follow_redirects(origin, headers, deadline)
        except TimeoutError:
            raise Timeout from None

    def export_metrics(self) -> None:
        """Make the process's gauges of origins read this fetcher. Call once per process."""
        hosts = self._hosts
        RESTRICTED_ORIGINS.labels("rate").set_function(lambda: hosts.rate_limited)
        RESTRICTED_ORIGINS.labels("hung_host").set_function(lambda: hosts.hung)
        addresses = self._guard.addresses
        RESTRICTED_ORIGINS.labels("hung_address").set_function(lambda: addresses.hanging)

    def reserve(self, size: int, customer_id: str) -> BodyReservation:
        """Reserve memory of the same budget for a customer's body of `size` bytes from elsewhere."""
        return self._budget.reserve(min(size, self._policy.max_bytes), customer_id)

    async def _follow_redirects(
        self, origin: OriginUrl, headers: HopHeaders, deadline: Deadline
    ) -> FetchResult:
        hop, redirects = origin, 0
        while True:
            outcome = await self._fetch_hop(hop, deadline, headers)
            if not isinstance(outcome, _Redirect):
                provenance = outcome.provenance
                if redirects:
                    final_url = "" if hop.request_url == origin.request_url else hop.request_url
                    provenance = replace(provenance, final_url=final_url, redirects=redirects)
                outcome.provenance = headers.without_secrets(provenance)
                return outcome
            limit = self._policy.max_redirects
            headers.cookies.store(hop, outcome.set_cookies, datetime.now(UTC))
            hop = resolve_redirect(hop, outcome.locations, followed=redirects, limit=limit)
            redirects += 1

    async def _fetch_hop(
        self, hop: OriginUrl, deadline: Deadline, headers: HopHeaders
    ) -> _Redirect | FetchResult:
        """Send one request while holding a slot of its host, and once more if the host refuses it."""
        name = hop.host.removesuffix(".")
        refused = False
        while True:
            slot = self._hosts.take(name, headers.customer_id) or await self._acquire(
                name, headers.customer_id, deadline, refused=refused
            )
            try:
                return await self._request_in_slot(slot, hop, deadline, headers)
            except DnsFailed:
                end = slot.acquired_at + MIN_LOOKUP_S
                await asyncio.sleep(end - asyncio.get_running_loop().time())
                raise
            except (RateLimited, OriginError) as failure:
                if answer_of(failure) is not Answer.REFUSED:
                    raise
                failure.forget_frames()
                counter(FETCH_FAILURES, failure.code).inc()
            if refused:
                raise self._hosts.defer_refused(name, headers.customer_id)
            refused = True

    async def _acquire(
        self, name: str, customer_id: str, deadline: Deadline, *, refused: bool
    ) -> Slot:
        try:
            with deadline.paused():
                return await self._hosts.acquire(name, customer_id)
        except HostBusy as busy:
            busy.refused = refused
            raise

    async def _request_in_slot(
        self, slot: Slot, hop: OriginUrl, deadline: Deadline, headers: HopHeaders
    ) -> _Redirect | FetchResult:
        """Send one request, and release the slot.

        If too many others await the first answer of its address, send it again a second later.
        """
        connects = self._guard.record_connects(slot.customer_id)
        answer, failure = Answer.ACCEPTED, None
        try:
            with connects:
                waited = False
                while True:
                    try:
                        return await self._request(hop, deadline, headers, connects)
                    except TRANSPORT_ERRORS as error:
                        busy = connects.busy if is_connect_error(error) else None
                        if waited or busy is None or not busy.patience:
                            raise _failure_of(error, hop, connects) from error
                    with deadline.paused():
                        await busy.wait_for_answer()
                    connects.busy, waited = None, True
        except ImageFailure as error:
            answer, failure = answer_of(error), error
            raise
        except BaseException:
            answer = Answer.TIMED_OUT if deadline.expired else Answer.UNSENT
            raise
        finally:
            connects.leave(timed_out=answer is Answer.TIMED_OUT)
            self._hosts.release(slot, answer, failure)
            del failure  # It has a traceback, which refers to this frame.

    async def _request(
        self, hop: OriginUrl, deadline: Deadline, headers: HopHeaders, connects: Connects
    ) -> _Redirect | FetchResult:
        sent = headers.of(hop)
        response = await self._client.get(hop, sent, headers.cookie_field(hop, sent))
        connects.answer()
        try:
            if response.status in REDIRECT_STATUSES:
                received = response.headers
                return _Redirect(received.getall("Location", []), received.getall("Set-Cookie", []))
            if response.status == NOT_MODIFIED and is_conditional(sent):
                self._check_opt_out(response)
                return FetchResult(b"", Provenance(), modified=False)
            return await self._read_content(response, deadline, headers.customer_id)
        finally:
            response.release()

    def _check_opt_out(self, response: OriginResponse) -> None:
        """Raises OptedOut. Only the final answer counts: a redirect's header is about the redirect."""
        if respected := self._policy.respected_opt_outs:
            fields = response.headers.getall("X-Robots-Tag", [])
            if directive := find_opt_out(fields, respected, product=self._product):
                raise OptedOut(directive)

    async def _read_content(
        self, response: OriginResponse, deadline: Deadline, customer_id: str
    ) -> FetchResult:
        policy, headers = self._policy, response.headers
        if response.status != OK:
            retry_after, part = headers.get("Retry-After"), headers.get("Content-Range")
            check_status(response.status, retry_after, datetime.now(UTC), content_range=part)
        self._check_opt_out(response)
        codings = parse_codings(headers)
        size = parse_content_length(headers, policy.max_bytes)
        decoding = decoding_bytes(codings, size, policy.max_bytes) if codings else 0
        reservation = self._budget.reserve(size, customer_id, decoding=decoding)
        if self._budget.fits(size, customer_id, decoding=decoding):
            await reservation.acquire()
        else:
            with deadline.paused():
                await reservation.acquire()
        try:
            body = await self._read_body(response, deadline, size, codings)
        except BaseException:
            reservation.shrink(0)
            raise
        reservation.shrink(len(body))
        return FetchResult(body, read_provenance(headers), reservation)

    async def _read_body(
        self,
        response: OriginResponse,
        deadline: Deadline,
        size: int | None,
        codings: tuple[str, ...],
    ) -> bytes:
        policy = self._policy
        reading = read_body(
            response.content,
            max_bytes=policy.max_bytes if size is None else size,
            min_rate=policy.min_rate,
            window=policy.rate_window,
            grace=policy.rate_grace,
        )
        if not codings:
            return await reading
        coded = [await reading]
        with deadline.paused():
            return await self._decoder.decode(coded, codings, policy.max_bytes)


def _failure_of(error: Exception, hop: OriginUrl, connects: Connects) -> Exception:
    """Return what one of TRANSPORT_ERRORS means for the fetch."""
    if connects.busy is not None and is_connect_error(error):
        return connects.busy.busy
    return to_image_failure(error, blocked=blocked_failure(hop.host, connects.blocked))
