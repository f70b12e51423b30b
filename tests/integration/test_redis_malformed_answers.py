"""Something that is no Redis listens at REDIS_URL: reads go to the tables, as they do without Redis."""

import asyncio

import pytest

from core.redis.completed_requests import CompletedRequestStore
from core.redis.connection import RedisConnection
from harness.fake_aws import listen


@pytest.mark.parametrize(
    "reply",
    [
        b"*0\r\n",
        b"*2\r\n$-1\r\n$-1\r\n",
        b"*1\r\n:7\r\n",
        b"*1\r\n*0\r\n",
        b"*1\r\n$2\r\n{}\r\n",
        b"$-1\r\n",
        b":7\r\n",
        b"+OK\r\n",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
    ],
)
async def test_a_malformed_answer_is_no_cached_request(reply: bytes) -> None:
    """A value too few or too many, a value of another type, another document, or another protocol."""

    async def serve(_: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65_536):
            writer.write(reply)

    async with listen(serve) as url:
        connection = RedisConnection(url.replace("http:", "redis:"))
        store = CompletedRequestStore(connection, "requests", ttl=60)
        try:
            assert await store.read("a") is None
        finally:
            await store.close()
