"""Connections and services that stop answering: the effect on the call, and on other services."""

import asyncio
from collections import Counter

import aiohttp
import pytest

from core.answers import no_members
from core.aws.client import call
from core.aws.http import AwsHttpClients, Limits
from harness.fake_aws import (
    HANG_TIMEOUT_S,
    OK,
    http_clients_at,
    put,
    read_until_closed,
    request,
    send,
)

LARGE = b"\0" * (32 * 1024 * 1024)
"""More than the kernel buffers on both sides of a connection whose peer does not read."""

PUBLISHED = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n<a/>"


async def poll(http: AwsHttpClients) -> None:
    await http.sqs.invoke("ReceiveMessage", {"WaitTimeSeconds": 20})


async def insert(http: AwsHttpClients) -> None:
    await http.dynamodb.invoke("BatchExecuteStatement", {})


async def store(http: AwsHttpClients) -> None:
    await put(http, b"the image")


async def publish(http: AwsHttpClients) -> None:
    await http.sns.publish_batch("arn", [])


CALLS = {"dynamodb": insert, "sqs": send, "s3": store, "sns": publish}


async def test_a_silent_connection_fails_an_attempt_and_not_the_call() -> None:
    """With the default limits there is time for another attempt."""

    async def serve(
        number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await request(reader)
        if number == 1:
            await read_until_closed(reader)
        writer.write(OK)

    async with asyncio.timeout(HANG_TIMEOUT_S), http_clients_at(serve) as http:
        await call("sqs:SendMessageBatch", send(http), no_members)


async def test_an_attempt_after_a_timeout_has_a_new_connection() -> None:
    """A gateway that lost its table has dropped all connections, and more are idle than there are attempts."""
    idle = 5
    together = asyncio.Barrier(idle)

    async def serve(
        number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await request(reader)
        if number <= idle:
            await together.wait()
            writer.write(OK)
            await read_until_closed(reader)
        writer.write(OK)

    limits = Limits(read_timeout=1)
    async with asyncio.timeout(HANG_TIMEOUT_S), http_clients_at(serve, limits) as http:
        await asyncio.gather(*[send(http) for _ in range(idle)])
        await send(http)


async def test_a_long_poll_may_be_silent_for_its_wait() -> None:
    """Meanwhile a call without a wait times out in each attempt."""
    polls = 0
    polled, timed_out = asyncio.Event(), asyncio.Event()

    async def serve(
        _number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        nonlocal polls
        if b"ReceiveMessage" in await request(reader):
            polls += 1
            polled.set()
            await timed_out.wait()
            writer.write(OK)
        await read_until_closed(reader)

    limits = Limits(read_timeout=0.2)
    async with asyncio.timeout(HANG_TIMEOUT_S), http_clients_at(serve, limits) as http:
        polling = asyncio.create_task(poll(http))
        await polled.wait()
        with pytest.raises(aiohttp.ServerTimeoutError):
            await send(http)
        timed_out.set()
        await polling
    assert polls == 1


async def test_a_body_that_is_read_slowly_causes_no_timeout() -> None:
    """There is one attempt, for any total time."""
    connections = 0

    async def serve(
        number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        nonlocal connections
        connections = number
        await reader.readuntil(b"\r\n\r\n")
        for _ in range(8):
            await reader.readexactly(len(LARGE) // 8)
            await asyncio.sleep(0.4)
        writer.write(OK)

    limits = Limits(read_timeout=2)
    async with asyncio.timeout(HANG_TIMEOUT_S), http_clients_at(serve, limits) as http:
        await put(http, LARGE)
    assert connections == 1


async def test_a_body_that_is_not_read_causes_a_timeout() -> None:
    """A service that stops reading is treated like one that stops answering."""
    client_closed = asyncio.Event()

    async def serve(
        _number: int, reader: asyncio.StreamReader, _writer: asyncio.StreamWriter
    ) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await client_closed.wait()

    limits = Limits(read_timeout=0.2)
    async with asyncio.timeout(HANG_TIMEOUT_S), http_clients_at(serve, limits) as http:
        with pytest.raises(aiohttp.ServerTimeoutError):
            await put(http, LARGE)
        client_closed.set()


@pytest.mark.parametrize("stalled", CALLS)
async def test_a_stalled_service_does_not_affect_the_others(stalled: str) -> None:
    """Even on the same host: each service has its own connections."""
    held = 2
    requests: Counter[str] = Counter()
    all_held, others_served = asyncio.Event(), asyncio.Event()

    async def serve(
        _number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while True:
            head = await request(reader)
            service = head.partition(b"/aws4_request")[0].rpartition(b"/")[2].decode()
            requests[service] += 1
            if service == stalled:
                if requests[service] == held:
                    all_held.set()
                await others_served.wait()
            writer.write(PUBLISHED if service == "sns" else OK)

    limits = Limits(connections=held)
    async with asyncio.timeout(HANG_TIMEOUT_S), http_clients_at(serve, limits) as http:
        waiting = asyncio.gather(*[CALLS[stalled](http) for _ in range(held)])
        await all_held.wait()
        for service, other in CALLS.items():
            if service != stalled:
                await other(http)
        others_served.set()
        await waiting
    assert requests == {**dict.fromkeys(CALLS, 1), stalled: held}


async def test_a_response_with_broken_framing_is_retried_at_once() -> None:
    """aiohttp alone would wait for the rest of the body until the end of the call."""

    async def serve(
        number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await request(reader)
        if number == 1:
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n")
            await writer.drain()
            # The client runs in this loop too, and is to have read the head before the body breaks.
            for _ in range(100):
                await asyncio.sleep(0)
            writer.write(b"ZZZ\r\n")
            await read_until_closed(reader)
        writer.write(OK)

    async with (
        asyncio.timeout(HANG_TIMEOUT_S),
        http_clients_at(serve, Limits(read_timeout=1_000)) as http,
    ):
        await send(http)
