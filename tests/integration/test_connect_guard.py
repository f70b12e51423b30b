"""The guard at the socket, seen from a real fetch."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from ipaddress import ip_network

import pytest

from consumer.fetching.fetcher import Fetcher, FetchPolicy
from core.errors import BlockedAddress, ConnectFailed, ImageFailure
from harness.address_vectors import address_vectors
from harness.loopback_origin import (
    HttpOrigin,
    RawOrigin,
    TableResolver,
    closed_port,
    http_origin,
    raw_origin,
    redirecting,
    replying,
    saying,
)

BLOCKED = address_vectors("blocked")
OWN_ADDRESS = FetchPolicy(allowed_networks=(ip_network("127.0.0.1/32"),))


@pytest.fixture
async def canary() -> AsyncIterator[RawOrigin]:
    """A listener at a blocked address, which must never see a connection."""
    async with raw_origin(saying(b"HTTP/1.1 200 OK\r\n\r\n"), "127.0.0.2") as listener:
        yield listener


@pytest.fixture
async def origin() -> AsyncIterator[HttpOrigin]:
    """An origin at the one address of this machine that is allowed."""
    async with http_origin() as server:
        server.routes["/picture.png"] = replying(body=b"picture")
        yield server


@contextlib.asynccontextmanager
async def fetching(
    policy: FetchPolicy = OWN_ADDRESS, **answers: tuple[str, ...]
) -> AsyncIterator[Fetcher]:
    """A fetcher for which the names `<key>.example` resolve to these addresses."""
    names = {f"{name}.example": addresses for name, addresses in answers.items()}
    fetcher = Fetcher(policy, resolver=TableResolver(names))
    try:
        yield fetcher
    finally:
        await fetcher.close()


async def outcome(fetcher: Fetcher, url: str) -> bytes | type[ImageFailure]:
    """The body, or the kind of failure."""
    try:
        async with fetcher.fetch(url) as fetched:
            return fetched.body
    except ImageFailure as failure:
        return type(failure)


async def test_every_blocked_address_is_refused_as_a_literal(canary: RawOrigin) -> None:
    """An address written into the URL needs no look-up, and is judged all the same."""
    async with fetching() as fetcher:
        urls = [row.url(canary.port) for row in BLOCKED]
        outcomes = await asyncio.gather(*(outcome(fetcher, url) for url in urls))
    assert [url for url, got in zip(urls, outcomes, strict=True) if got is not BlockedAddress] == []
    assert canary.connections == 0


async def test_every_blocked_address_is_refused_behind_a_redirect(
    origin: HttpOrigin, canary: RawOrigin
) -> None:
    """Each hop is judged anew: an allowed origin cannot send us anywhere else."""
    for number, row in enumerate(BLOCKED):
        origin.routes[f"/{number}"] = redirecting(row.url(canary.port))
    policy = FetchPolicy(allowed_networks=OWN_ADDRESS.allowed_networks, per_host_limit=len(BLOCKED))
    async with fetching(policy) as fetcher:
        outcomes = await asyncio.gather(
            *(outcome(fetcher, origin.url(f"/{number}")) for number in range(len(BLOCKED)))
        )
    escaped = [row for row, got in zip(BLOCKED, outcomes, strict=True) if got is not BlockedAddress]
    assert escaped == []
    assert len(origin.asked) == len(BLOCKED)
    assert canary.connections == 0


async def test_every_blocked_address_is_refused_as_an_answer_of_dns(canary: RawOrigin) -> None:
    """A harmless name does not help: the address is judged that the socket would connect to."""
    answers = {f"row{number}": (row.host,) for number, row in enumerate(BLOCKED)}
    async with fetching(OWN_ADDRESS, **answers) as fetcher:
        urls = [f"http://{name}.example:{canary.port}/picture.png" for name in answers]
        outcomes = await asyncio.gather(*(outcome(fetcher, url) for url in urls))
    escaped = [row for row, got in zip(BLOCKED, outcomes, strict=True) if got is not BlockedAddress]
    assert escaped == []
    assert canary.connections == 0


async def test_the_canary_sings_when_its_address_is_allowed(canary: RawOrigin) -> None:
    """The tests above can fail: what they fetch answers once the guard is opened."""
    policy = FetchPolicy(allowed_networks=(ip_network("127.0.0.0/8"),))
    async with fetching(policy, canary=("127.0.0.2",)) as fetcher:
        assert await outcome(fetcher, f"http://127.0.0.2:{canary.port}/") == b""
        assert await outcome(fetcher, f"http://canary.example:{canary.port}/") == b""
    assert canary.connections == 2


@pytest.mark.parametrize(
    "addresses",
    [
        ("127.0.0.2", "127.0.0.1"),
        ("127.0.0.1", "127.0.0.2"),
        ("::1", "127.0.0.1"),
        ("127.0.0.1", "169.254.169.254", "fd00:ec2::254"),
    ],
)
async def test_a_blocked_address_beside_one_that_fails_is_a_blocked_address(
    addresses: tuple[str, ...],
) -> None:
    """The other address's failure does not hide the refusal, in whichever order they are tried."""
    with closed_port() as port:
        async with fetching(mixed=addresses) as fetcher:
            assert await outcome(fetcher, f"http://mixed.example:{port}/") is BlockedAddress


@pytest.mark.parametrize(
    "addresses", [("127.0.0.2", "127.0.0.1"), ("::1", "127.0.0.1"), ("127.0.0.1", "10.0.0.1")]
)
async def test_a_host_is_reached_by_its_allowed_address(
    origin: HttpOrigin, canary: RawOrigin, addresses: tuple[str, ...]
) -> None:
    """A refusal counts only where no connection comes about."""
    async with fetching(mixed=addresses) as fetcher:
        url = origin.url("/picture.png", host="mixed.example")
        assert await outcome(fetcher, url) == b"picture"
    assert canary.connections == 0


async def test_a_refusal_is_kept_to_its_own_request(origin: HttpOrigin) -> None:
    """Of two fetches at the same time, one is blocked and the other fails for its own reason."""
    with closed_port() as port:
        async with fetching() as fetcher:
            blocked, failed, fetched = await asyncio.gather(
                outcome(fetcher, f"http://127.0.0.2:{port}/"),
                outcome(fetcher, f"http://127.0.0.1:{port}/"),
                outcome(fetcher, origin.url("/picture.png")),
            )
    assert blocked is BlockedAddress
    assert failed is ConnectFailed
    assert fetched == b"picture"


async def test_an_answer_of_dns_that_is_no_address_is_refused() -> None:
    """A socket would look it up again by itself, past the guard."""
    async with fetching(odd=("0x7f.1",), name=("localhost",)) as fetcher:
        assert await outcome(fetcher, "http://odd.example/") is BlockedAddress
        assert await outcome(fetcher, "http://name.example/") is BlockedAddress


async def test_a_name_that_turns_to_a_blocked_address_is_refused(origin: HttpOrigin) -> None:
    """DNS rebinding: whatever an earlier hop resolved to, the next connection is judged itself."""
    origin.routes["/away"] = redirecting(f"http://rebound.example:{origin.port}/picture.png")
    async with fetching(first=("127.0.0.1",), rebound=("127.0.0.2",)) as fetcher:
        url = origin.url("/away", host="first.example")
        assert await outcome(fetcher, url) is BlockedAddress


async def test_the_customer_learns_no_address() -> None:
    """The failure's text does not tell what a name of ours resolves to."""
    async with fetching(internal=("10.11.12.13",)) as fetcher:
        with pytest.raises(BlockedAddress) as blocked:
            async with fetcher.fetch("http://internal.example/"):
                pass
    assert "10." not in str(blocked.value)
