"""The origin behaves as its docstrings say. Other tests depend on it."""

import asyncio
import hashlib
import io
import json
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer
from PIL import Image

from loadtest.origin import generated_images
from loadtest.origin.__main__ import consecutive_hosts
from loadtest.origin.app import create_app
from loadtest.origin.state import Counts

Client = TestClient[aiohttp.web.Request, aiohttp.web.Application]
FORMATS = ["png", "jpg", "webp", "gif"]
ROOT = Path(__file__).parents[4]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    (folder / "bad").mkdir(parents=True)
    (folder / "one.png").write_bytes(generated_images.image_body(1, "png"))
    (folder / "bad" / "broken.avif").write_bytes(b"broken")
    (tmp_path / "secret.txt").write_text("not served")
    return folder


@pytest.fixture
async def client(images: Path) -> AsyncIterator[Client]:
    async with TestClient(TestServer(create_app(images))) as client:
        yield client


async def body_of(client: Client, path: str) -> bytes:
    async with client.get(path) as response:
        assert response.status == 200
        return await response.read()


async def statuses(client: Client, path: str, times: int) -> list[int]:
    seen = []
    for _ in range(times):
        async with client.get(path) as response:
            seen.append(response.status)
    return seen


@pytest.mark.parametrize("extension", FORMATS)
def test_generated_bodies_differ(extension: str) -> None:
    """A thousand numbers have a thousand distinct bodies, and one number has one body."""
    digests = {
        hashlib.sha256(generated_images.image_body(n, extension)).digest() for n in range(1_000)
    }
    assert len(digests) == 1_000
    assert hashlib.sha256(generated_images.image_body(7, extension)).digest() in digests


@pytest.mark.parametrize("extension", FORMATS)
@pytest.mark.parametrize("number", [0, 255, 10**18 - 1])
def test_generated_bodies_decode(extension: str, number: int) -> None:
    """A generated body decodes completely in the format of its extension."""
    with Image.open(io.BytesIO(generated_images.image_body(number, extension))) as image:
        image.load()
        assert image.get_format_mimetype() == generated_images.media_type(extension)


async def test_images_are_served_with_validators(client: Client) -> None:
    """A file is served with media type, ETag and Last-Modified."""
    async with client.get("/pictures/one.png") as response:
        assert await response.read() == generated_images.image_body(1, "png")
        assert response.content_type == "image/png"
        assert response.headers["ETag"]
        assert response.headers["Last-Modified"]


async def test_sub_folders_are_served(client: Client) -> None:
    """Also a format that the `mimetypes` of the machine may not know."""
    async with client.get("/pictures/bad/broken.avif") as response:
        assert response.status == 200
        assert response.content_type == "image/avif"


@pytest.mark.parametrize("name", ["missing.png", "..%2Fsecret.txt", "bad"])
async def test_nothing_else_is_served(client: Client, name: str) -> None:
    """Everything else is 404, including a path that leaves the folder."""
    assert await statuses(client, f"/pictures/{name}", 1) == [404]


async def test_status(client: Client) -> None:
    """The requested status is returned."""
    assert await statuses(client, "/behave/status/404", 1) == [404]
    assert await statuses(client, "/behave/status/999", 1) == [404]


async def test_retry_after(client: Client) -> None:
    """The first requests of a key get Retry-After, the next one the image. Another key has its own count."""
    async with client.get("/behave/retry-after/429/7?key=a&times=2") as response:
        assert response.status == 429
        assert response.headers["Retry-After"] == "7"
    assert await statuses(client, "/behave/retry-after/429/7?key=a&times=2", 2) == [429, 200]
    assert await statuses(client, "/behave/retry-after/429/7?key=b", 2) == [429, 200]


async def test_flaky(client: Client) -> None:
    """The first requests of a key get 503, the next one the requested image."""
    assert await statuses(client, "/behave/flaky?key=a&times=2&picture=one.png", 3) == [
        503,
        503,
        200,
    ]
    assert await body_of(client, "/behave/flaky?key=a&times=2&picture=one.png") == await body_of(
        client, "/pictures/one.png"
    )


async def test_redirect_keeps_the_target(client: Client) -> None:
    """The target of a redirect is sent unchanged."""
    query = {"to": "http://0x7f.1/%2e%2e/x y", "status": "307"}
    async with client.get("/behave/redirect", params=query, allow_redirects=False) as response:
        assert response.status == 307
        assert response.headers["Location"] == query["to"]


async def test_redirect_chain(client: Client) -> None:
    """A chain of n has n redirects and keeps the query."""
    async with client.get("/behave/redirect-chain/3?picture=one.png") as response:
        assert response.status == 200
        assert len(response.history) == 3
        assert response.content_type == "image/png"


async def test_redirect_loop(client: Client) -> None:
    """A loop does not end."""
    with pytest.raises(aiohttp.TooManyRedirects):
        await client.get("/behave/redirect-loop")


async def test_changing(client: Client) -> None:
    """Each request of a key gets another image."""
    assert len({await body_of(client, "/behave/changing?key=a") for _ in range(5)}) == 5


async def test_gzip_is_sent_unrequested(client: Client) -> None:
    """The coding is applied although the client does not accept it."""
    headers = {"Accept-Encoding": "identity"}
    async with client.get("/behave/gzip", headers=headers) as response:
        assert response.headers["Content-Encoding"] == "gzip"
        assert await response.read() == generated_images.image_body(0, "jpg")


@pytest.mark.parametrize("query", ["", "&chunked=1"])
async def test_oversized(client: Client, query: str) -> None:
    """An oversized body has the requested length; a chunked one does not declare it."""
    async with client.get(f"/behave/oversized?bytes=200000{query}") as response:
        assert ("Content-Length" in response.headers) == (query == "")
        assert len(await response.read()) == 200_000


@pytest.mark.parametrize("path", ["short", "reset"])
async def test_truncated_bodies(client: Client, path: str) -> None:
    """A body shorter than declared is an error for the client."""
    with pytest.raises(aiohttp.ClientError):
        await body_of(client, f"/behave/{path}")


async def test_reset_is_a_tcp_reset(client: Client) -> None:
    """The connection is reset instead of closed."""
    reader, writer = await asyncio.open_connection(client.server.host, client.server.port)
    writer.write(b"GET /behave/reset HTTP/1.1\r\nHost: origin\r\n\r\n")
    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


async def test_a_slow_drip_arrives_in_chunks(client: Client) -> None:
    """The whole image is sent in chunks."""
    async with client.get("/behave/slow-drip?rate=2000") as response:
        assert len(await response.content.readany()) < (response.content_length or 0)
        await response.read()


async def test_an_endless_body_does_not_end(client: Client) -> None:
    """An endless body declares no length and has more than a megabyte."""
    async with client.get("/behave/endless") as response:
        assert "Content-Length" not in response.headers
        assert len(await response.content.readexactly(1 << 20)) == 1 << 20


@pytest.mark.parametrize("path", ["hang", "endless", "slow-drip?rate=1"])
async def test_an_endless_response_ends_at_shutdown(client: Client, path: str) -> None:
    """The shutdown does not wait for an endless response."""
    reader, writer = await asyncio.open_connection(client.server.host, client.server.port)
    writer.write(f"GET /behave/{path} HTTP/1.1\r\nHost: origin\r\n\r\n".encode())
    while f"/behave/{path.partition('?')[0]}" not in json.loads(await body_of(client, "/_hits")):
        pass
    await client.server.close()
    with suppress(ConnectionError):
        while await reader.read(1 << 20):
            pass
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


async def test_latency_delivers(client: Client) -> None:
    """A delayed image is complete. A latency that is not a number is an error."""
    assert await body_of(client, "/behave/latency?ms=1") == generated_images.image_body(0, "jpg")
    assert await statuses(client, "/behave/latency?ms=soon", 1) == [400]


async def test_hits(client: Client) -> None:
    """Hits count by path, and by key if there is one; generated images count together."""
    await statuses(client, "/behave/flaky?key=a", 2)
    await statuses(client, "/generated/1.png", 1)
    await statuses(client, "/generated/2.gif", 1)
    assert json.loads(await body_of(client, "/_hits")) == {
        "/behave/flaky": 2,
        "/behave/flaky?key=a": 2,
        "/generated": 2,
    }


def test_counts_are_bounded() -> None:
    """Beyond the limit the name that was counted longest ago is dropped."""
    counts = Counts(limit=2)
    for name in ("a", "b", "a", "c"):
        counts.add(name)
    assert counts.all() == {"a": 2, "c": 1}


async def test_the_command_serves_and_writes_its_url(tmp_path: Path, images: Path) -> None:
    """`python -m loadtest.origin` writes its URL once it listens, and ends on SIGTERM."""
    ready = tmp_path / "origin.json"
    arguments = ["-m", "loadtest.origin", "--images", str(images), "--ready-file", str(ready)]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=PIPE,
    )
    try:
        assert process.stdout is not None
        line = (await process.stdout.readline()).decode()
        content = json.loads(await asyncio.to_thread(ready.read_text))
        assert content["url"] in line
        assert content["pid"] == process.pid
        url = f"{content['url']}/generated/1.png"
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            assert response.status == 200
    finally:
        process.terminate()
    assert await process.wait() == 0


@pytest.mark.parametrize(
    ("host", "count", "hosts"),
    [
        ("localhost", 1, ("localhost",)),
        ("127.0.0.1", 3, ("127.0.0.1", "127.0.0.2", "127.0.0.3")),
        ("127.0.0.255", 2, ("127.0.0.255", "127.0.1.0")),
    ],
)
def test_hosts_are_consecutive(host: str, count: int, hosts: tuple[str, ...]) -> None:
    """Several addresses of one origin, for consumers that limit the load per host."""
    assert consecutive_hosts(host, count) == hosts
