"""Time limit and number of idle connections."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import cast

from aiohttp.connector import Connection

from consumer.fetching.http.bounded_handler import BoundedHandler
from consumer.fetching.http.connection_pool import (
    MAX_AGE_S,
    MAX_IDLE_CONNECTIONS,
    MAX_IDLE_S,
    ConnectionPool,
    Endpoint,
    OriginConnection,
)
from harness.virtual_time import run_virtually

HOST = Endpoint("https", "a.example", 443)
PER_HOST = 3


class Protocol(BoundedHandler):
    """Open until it is closed, and reusable."""

    is_open = True

    def become_idle(self) -> bool:
        return self.is_open

    def is_reusable(self) -> bool:
        return self.is_open


class FakeConnection:
    """Replaces aiohttp's connection: has a protocol until it is closed."""

    def __init__(self) -> None:
        self.protocol: Protocol | None = Protocol(asyncio.get_running_loop())

    def close(self) -> None:
        self.protocol = None


def new_connection(endpoint: Endpoint = HOST) -> OriginConnection:
    now = asyncio.get_running_loop().time()
    return OriginConnection(endpoint, cast("Connection", FakeConnection()), now)


def is_open(connection: OriginConnection) -> bool:
    return connection.protocol is not None


def virtually(test: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    def run() -> None:
        async def main() -> None:
            await test()

        run_virtually(main())

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


@virtually
async def test_the_last_used_connection_is_acquired_first() -> None:
    """Connections that are not needed expire."""
    pool = ConnectionPool(per_host=PER_HOST)
    first, second = new_connection(), new_connection()
    pool.release(first)
    pool.release(second)
    assert pool.acquire(HOST) is second
    assert pool.acquire(HOST) is first
    assert pool.acquire(HOST) is None
    assert len(pool) == 0


@virtually
async def test_a_connection_is_for_the_endpoint_that_it_was_made_for() -> None:
    """Scheme, host and port must match."""
    pool = ConnectionPool(per_host=PER_HOST)
    pool.release(new_connection())
    others = [HOST._replace(scheme="http"), HOST._replace(host="b.example"), HOST._replace(port=1)]
    assert [pool.acquire(other) for other in others] == [None, None, None]
    assert pool.acquire(HOST) is not None


@virtually
async def test_idle_time_is_short() -> None:
    """A connection that is not used within seconds is closed by a timer."""
    pool = ConnectionPool(per_host=PER_HOST)
    early, late = new_connection(), new_connection()
    pool.release(early)
    await asyncio.sleep(MAX_IDLE_S / 2)
    pool.release(late)
    await asyncio.sleep(MAX_IDLE_S * 0.6)
    assert (is_open(early), is_open(late)) == (False, True)
    await asyncio.sleep(MAX_IDLE_S * 0.5)
    assert not is_open(late)
    assert len(pool) == 0


@virtually
async def test_a_connection_in_constant_use_is_closed_at_its_maximum_age() -> None:
    """The DNS record of its host may have changed."""
    pool = ConnectionPool(per_host=PER_HOST)
    connection = new_connection()
    uses = 0
    pool.release(connection)
    while pool.acquire(HOST) is connection:
        uses += 1
        pool.release(connection)
        await asyncio.sleep(1)
    assert uses == MAX_AGE_S
    assert not is_open(connection)
    pool.release(old := OriginConnection(HOST, cast("Connection", FakeConnection()), made_at=0))
    assert not is_open(old)


@virtually
async def test_the_limit_per_host_closes_the_oldest() -> None:
    """A host has no more idle connections than concurrent requests."""
    pool = ConnectionPool(per_host=PER_HOST)
    connections = [new_connection() for _ in range(PER_HOST + 1)]
    for connection in connections:
        pool.release(connection)
    assert [is_open(each) for each in connections] == [False] + [True] * PER_HOST


@virtually
async def test_the_total_limit_closes_the_oldest() -> None:
    """A million hosts leave a bounded number of connections."""
    pool = ConnectionPool(per_host=PER_HOST)
    connections = [
        new_connection(HOST._replace(port=1_024 + port))
        for port in range(MAX_IDLE_CONNECTIONS + 10)
    ]
    for connection in connections:
        pool.release(connection)
    assert len(pool) == MAX_IDLE_CONNECTIONS
    assert [is_open(each) for each in connections] == [False] * 10 + [True] * MAX_IDLE_CONNECTIONS


@virtually
async def test_a_connection_closed_by_the_origin_is_not_acquired() -> None:
    """It is not kept either, if it was closed before."""
    pool = ConnectionPool(per_host=PER_HOST)
    closed, kept = new_connection(), new_connection()
    pool.release(kept)
    pool.release(closed)
    for connection in (closed, kept):
        cast("Protocol", connection.protocol).is_open = False
    pool.release(late := new_connection())
    assert pool.acquire(HOST) is late
    assert pool.acquire(HOST) is None
    assert not is_open(closed)
    dead = new_connection()
    cast("Protocol", dead.protocol).is_open = False
    pool.release(dead)
    assert (is_open(dead), len(pool)) == (False, 0)


@virtually
async def test_close_leaves_no_connection_and_no_timer() -> None:
    """Every idle connection is closed."""
    pool = ConnectionPool(per_host=PER_HOST)
    connection = new_connection()
    pool.release(connection)
    pool.close()
    assert not is_open(connection)
    assert (len(pool), pool._expiry) == (0, None)
