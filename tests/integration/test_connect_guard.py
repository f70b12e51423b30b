"""The SSRF guard in real fetches."""

import asyncio
import contextlib
import itertools
import socket
from collections import Counter
from collections.abc import AsyncIterator
from ipaddress import ip_network

import pytest
from aiohttp.abc import ResolveResult

from consumer.fetching.fetcher import Fetcher, FetchPolicy
from core.errors import BlockedAddress, ConnectFailed, DnsFailed, ImageFailure
from harness.address_vectors import address_vectors
from harness.origin import Origin, origin, redirect_to, reply_with
from harness.raw_origin import RawOrigin, TableResolver, raw_origin, respond
from harness.reserved_port import closed_port

BLOCKED = address_vectors("blocked")
OWN_ADDRESS = FetchPolicy(allowed_networks=(ip_network("127.0.0.1/32"),))


@pytest.fixture
async def blocked_listener() -> AsyncIterator[RawOrigin]:
    """A listener at a blocked address. No connection must reach it."""
    async with raw_origin(respond(b"HTTP/1.1 200 OK\r\n\r\n"), "127.0.0.2") as listener:
        yield listener


@pytest.fixture(name="origin")
async def _origin() -> AsyncIterator[Origin]:
    """An origin at the only address of this machine that is allowed."""
    async with origin() as server:
        server.routes["/image.png"] = reply_with(body=b"image")
        yield server


@contextlib.asynccontextmanager
async def fetching(
    policy: FetchPolicy = OWN_ADDRESS, **answers: tuple[str, ...]
) -> AsyncIterator[Fetcher]:
    """A fetcher whose resolver maps `<key>.example` to these addresses."""
    names = {f"{name}.example": addresses for name, addresses in answers.items()}
    fetcher = Fetcher(policy, resolver=TableResolver(names))
    try:
        yield fetcher
    finally:
        await fetcher.close()


async def outcome(fetcher: Fetcher, url: str) -> bytes | type[ImageFailure]:
    """Return the body, or the type of the failure."""
    try:
        with await fetcher.fetch(url) as fetched:
            return fetched.body
    except ImageFailure as failure:
        return type(failure)


async def test_every_blocked_address_is_blocked_as_a_literal(blocked_listener: RawOrigin) -> None:
    """An IP literal in the URL needs no lookup, and is checked too."""
    async with fetching() as fetcher:
        urls = [row.url(blocked_listener.port) for row in BLOCKED]
        outcomes = await asyncio.gather(*(outcome(fetcher, url) for url in urls))
    assert [url for url, got in zip(urls, outcomes, strict=True) if got is not BlockedAddress] == []
    assert blocked_listener.connections == 0


async def test_every_blocked_address_is_blocked_behind_a_redirect(
    origin: Origin, blocked_listener: RawOrigin
) -> None:
    """Each hop is checked: an allowed origin cannot redirect to a blocked address."""
    for number, row in enumerate(BLOCKED):
        origin.routes[f"/{number}"] = redirect_to(row.url(blocked_listener.port))
    policy = FetchPolicy(allowed_networks=OWN_ADDRESS.allowed_networks, per_host_limit=len(BLOCKED))
    async with fetching(policy) as fetcher:
        outcomes = await asyncio.gather(
            *(outcome(fetcher, origin.url(f"/{number}")) for number in range(len(BLOCKED)))
        )
    escaped = [row for row, got in zip(BLOCKED, outcomes, strict=True) if got is not BlockedAddress]
    assert escaped == []
    assert len(origin.requests) == len(BLOCKED)
    assert blocked_listener.connections == 0


async def test_every_blocked_address_is_blocked_as_a_dns_answer(
    blocked_listener: RawOrigin,
) -> None:
    """The guard checks the address of the socket, so a harmless name does not matter."""
    answers = {f"row{number}": (row.host,) for number, row in enumerate(BLOCKED)}
    async with fetching(OWN_ADDRESS, **answers) as fetcher:
        urls = [f"http://{name}.example:{blocked_listener.port}/image.png" for name in answers]
        outcomes = await asyncio.gather(*(outcome(fetcher, url) for url in urls))
    escaped = [row for row, got in zip(BLOCKED, outcomes, strict=True) if got is not DnsFailed]
    assert escaped == []
    assert blocked_listener.connections == 0


async def test_the_blocked_listener_responds_if_its_address_is_allowed(
    blocked_listener: RawOrigin,
) -> None:
    """The tests above can fail: their listener responds when the guard allows its address."""
    policy = FetchPolicy(allowed_networks=(ip_network("127.0.0.0/8"),))
    async with fetching(policy, listener=("127.0.0.2",)) as fetcher:
        assert await outcome(fetcher, f"http://127.0.0.2:{blocked_listener.port}/") == b""
        assert await outcome(fetcher, f"http://listener.example:{blocked_listener.port}/") == b""
    assert blocked_listener.connections == 2


@pytest.mark.parametrize(
    "addresses",
    [
        ("127.0.0.2", "127.0.0.1"),
        ("127.0.0.1", "127.0.0.2"),
        ("::1", "127.0.0.1"),
        ("127.0.0.1", "169.254.169.254", "fd00:ec2::254"),
    ],
)
async def test_a_blocked_address_beside_one_that_fails_decides(
    addresses: tuple[str, ...],
) -> None:
    """The error of the other address does not show that the name exists, in either order."""
    with closed_port() as port:
        async with fetching(mixed=addresses) as fetcher:
            assert await outcome(fetcher, f"http://mixed.example:{port}/") is DnsFailed


@pytest.mark.parametrize(
    "addresses", [("127.0.0.2", "127.0.0.1"), ("::1", "127.0.0.1"), ("127.0.0.1", "10.0.0.1")]
)
async def test_a_host_is_reached_by_its_allowed_address(
    origin: Origin, blocked_listener: RawOrigin, addresses: tuple[str, ...]
) -> None:
    """A blocked address decides only if no connection is made."""
    async with fetching(mixed=addresses) as fetcher:
        url = origin.url("/image.png", host="mixed.example")
        assert await outcome(fetcher, url) == b"image"
    assert blocked_listener.connections == 0


async def test_a_blocked_address_is_recorded_for_its_own_request(origin: Origin) -> None:
    """Of two concurrent fetches, one is blocked and the other fails for its own reason."""
    with closed_port() as port:
        async with fetching() as fetcher:
            blocked, failed, fetched = await asyncio.gather(
                outcome(fetcher, f"http://127.0.0.2:{port}/"),
                outcome(fetcher, f"http://127.0.0.1:{port}/"),
                outcome(fetcher, origin.url("/image.png")),
            )
    assert blocked is BlockedAddress
    assert failed is ConnectFailed
    assert fetched == b"image"


async def test_a_dns_answer_that_is_no_address_is_blocked() -> None:
    """A socket would look it up itself, without the guard."""
    async with fetching(odd=("0x7f.1",), name=("localhost",)) as fetcher:
        assert await outcome(fetcher, "http://odd.example/") is DnsFailed
        assert await outcome(fetcher, "http://name.example/") is DnsFailed


async def test_dns_rebinding_to_a_blocked_address_is_blocked(origin: Origin) -> None:
    """Each connection is checked, regardless of the addresses of earlier hops."""
    origin.routes["/away"] = redirect_to(f"http://rebound.example:{origin.port}/image.png")
    async with fetching(first=("127.0.0.1",), rebound=("127.0.0.2",)) as fetcher:
        url = origin.url("/away", host="first.example")
        assert await outcome(fetcher, url) is DnsFailed


class AlternatingResolver(TableResolver):
    """Answers with an allowed address and a blocked one in turn, whatever the name."""

    def __init__(self) -> None:
        self._turns = itertools.cycle(("127.0.0.1", "127.0.0.2"))
        super().__init__({})

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self._answers = {host: (next(self._turns),)}
        return await super().resolve(host, port, family)


async def test_alternating_dns_answers_lead_to_no_blocked_address(
    blocked_listener: RawOrigin,
) -> None:
    """580 look-ups of names whose owner answers with a public and a private address in turn."""
    async with raw_origin(
        respond(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nimage"), port=blocked_listener.port
    ) as allowed:
        fetcher = Fetcher(OWN_ADDRESS, resolver=AlternatingResolver())
        urls = [f"http://n{number}.example:{allowed.port}/" for number in range(580)]
        try:
            outcomes = await asyncio.gather(*(outcome(fetcher, url) for url in urls))
        finally:
            await fetcher.close()
    assert Counter(outcomes) == {b"image": 290, DnsFailed: 290}
    assert allowed.connections == 290
    assert blocked_listener.connections == 0


@pytest.mark.parametrize("redirected", [False, True])
async def test_a_name_of_a_private_address_fails_as_one_that_does_not_exist(
    origin: Origin, *, redirected: bool
) -> None:
    """All that a customer sees is equal; the detail for the operator differs."""
    failures = []
    async with fetching(internal=("10.11.12.13", "fd00::1")) as fetcher:
        for name in ("internal", "missing"):
            url = f"http://{name}.example/a.jpg"
            if redirected:
                origin.routes["/away"] = redirect_to(url)
                url = origin.url("/away")
            with pytest.raises(ImageFailure) as raised, await fetcher.fetch(url):
                pass
            failures.append(raised.value)
    internal, missing = failures
    assert type(internal) is type(missing) is DnsFailed
    assert (str(internal), internal.retry_after) == (str(missing), missing.retry_after)
    assert "10.0.0.0/8 is blocked: private use (RFC 1918)" in internal.operator_detail
    assert missing.operator_detail == ""


async def test_the_customer_learns_no_address() -> None:
    """The text of the failure does not contain the address of an internal name."""
    async with fetching(internal=("10.11.12.13",)) as fetcher:
        with (
            pytest.raises(DnsFailed) as blocked,
            await fetcher.fetch("http://internal.example/"),
        ):
            pass
    assert "10." not in str(blocked.value)
