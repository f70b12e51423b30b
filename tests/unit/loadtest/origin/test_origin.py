"""The origin behaves as its docstrings say: what the other tests rest on."""

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

from loadtest.origin import generated_pictures
from loadtest.origin.app import create_app
from loadtest.origin.counts import Counts
from loadtest.origin.hosts import counted_up

Client = TestClient[aiohttp.web.Request, aiohttp.web.Application]
FORMATS = ["png", "jpg", "webp", "gif"]
ROOT = Path(__file__).parents[4]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    (folder / "bad").mkdir(parents=True)
    (folder / "one.png").write_bytes(generated_pictures.picture(1, "png"))
    (folder / "bad" / "broken.avif").write_bytes(b"broken")
    (tmp_path / "secret.txt").write_text("not served")
    return folder


@pytest.fixture
async def client(pictures: Path) -> AsyncIterator[Client]:
    async with TestClient(TestServer(create_app(pictures))) as client:
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
    """A thousand numbers give a thousand bodies, and the same number the same body."""
    digests = {
        hashlib.sha256(generated_pictures.picture(n, extension)).digest() for n in range(1_000)
    }
    assert len(digests) == 1_000
    assert hashlib.sha256(generated_pictures.picture(7, extension)).digest() in digests


@pytest.mark.parametrize("extension", FORMATS)
@pytest.mark.parametrize("number", [0, 255, 10**18 - 1])
def test_generated_bodies_decode(extension: str, number: int) -> None:
    """A generated body decodes to its end as the format that its extension says."""
    with Image.open(io.BytesIO(generated_pictures.picture(number, extension))) as image:
        image.load()
        assert image.get_format_mimetype() == generated_pictures.media_type(extension)


async def test_pictures_are_served_with_validators(client: Client) -> None:
    """A picture file comes with its media type, an ETag and its date."""
    async with client.get("/pictures/one.png") as response:
        assert await response.read() == generated_pictures.picture(1, "png")
        assert response.content_type == "image/png"
        assert response.headers["ETag"]
        assert response.headers["Last-Modified"]


async def test_sub_folders_are_served(client: Client) -> None:
    """A picture in a sub-folder is served, of a format that the machine may not know."""
    async with client.get("/pictures/bad/broken.avif") as response:
        assert response.status == 200
        assert response.content_type == "image/avif"


@pytest.mark.parametrize("name", ["missing.png", "..%2Fsecret.txt", "bad"])
async def test_nothing_else_is_served(client: Client, name: str) -> None:
    """What is no file of the folder is 404, a way out of it included."""
    assert await statuses(client, f"/pictures/{name}", 1) == [404]


async def test_status(client: Client) -> None:
    """A status is answered as asked for."""
    assert await statuses(client, "/behave/status/404", 1) == [404]
    assert await statuses(client, "/behave/status/999", 1) == [404]


async def test_retry_after(client: Client) -> None:
    """The first requests of a key are told to wait, the next gets the picture; another key starts anew."""
    async with client.get("/behave/retry-after/429/7?key=a&times=2") as response:
        assert response.status == 429
        assert response.headers["Retry-After"] == "7"
    assert await statuses(client, "/behave/retry-after/429/7?key=a&times=2", 2) == [429, 200]
    assert await statuses(client, "/behave/retry-after/429/7?key=b", 2) == [429, 200]


async def test_flaky(client: Client) -> None:
    """503 for the first requests of a key, then the picture that was asked for."""
    assert await statuses(client, "/behave/flaky?key=a&times=2&picture=one.png", 3) == [
        503,
        503,
        200,
    ]
    assert await body_of(client, "/behave/flaky?key=a&times=2&picture=one.png") == await body_of(
        client, "/pictures/one.png"
    )


async def test_redirect_keeps_the_target(client: Client) -> None:
    """A redirect's target is sent as it was given, however odd."""
    query = {"to": "http://0x7f.1/%2e%2e/x y", "status": "307"}
    async with client.get("/behave/redirect", params=query, allow_redirects=False) as response:
        assert response.status == 307
        assert response.headers["Location"] == query["to"]


async def test_redirect_chain(client: Client) -> None:
    """A chain of n takes n redirects and keeps its query."""
    async with client.get("/behave/redirect-chain/3?picture=one.png") as response:
        assert response.status == 200
        assert len(response.history) == 3
        assert response.content_type == "image/png"


async def test_redirect_loop(client: Client) -> None:
    """A loop never ends."""
    with pytest.raises(aiohttp.TooManyRedirects):
        await client.get("/behave/redirect-loop")


async def test_changing(client: Client) -> None:
    """Each request of a key gets another picture."""
    assert len({await body_of(client, "/behave/changing?key=a") for _ in range(5)}) == 5


async def test_gzip_comes_unasked(client: Client) -> None:
    """The coding is applied though the client refuses it."""
    headers = {"Accept-Encoding": "identity"}
    async with client.get("/behave/gzip", headers=headers) as response:
        assert response.headers["Content-Encoding"] == "gzip"
        assert await response.read() == generated_pictures.picture(0, "jpg")


@pytest.mark.parametrize("query", ["", "&chunked=1"])
async def test_oversized(client: Client, query: str) -> None:
    """An oversized body has the length asked for, which a chunked one does not tell."""
    async with client.get(f"/behave/oversized?bytes=200000{query}") as response:
        assert ("Content-Length" in response.headers) == (query == "")
        assert len(await response.read()) == 200_000


@pytest.mark.parametrize("path", ["short", "reset"])
async def test_bodies_that_break_off(client: Client, path: str) -> None:
    """A body that is shorter than declared is an error for the client."""
    with pytest.raises(aiohttp.ClientError):
        await body_of(client, f"/behave/{path}")


async def test_reset_is_a_tcp_reset(client: Client) -> None:
    """The connection is reset, not closed in order."""
    reader, writer = await asyncio.open_connection(client.server.host, client.server.port)
    writer.write(b"GET /behave/reset HTTP/1.1\r\nHost: origin\r\n\r\n")
    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


async def test_a_slow_drip_arrives(client: Client) -> None:
    """A drip sends the whole picture, in pieces."""
    async with client.get("/behave/slow-drip?rate=2000") as response:
        assert len(await response.content.readany()) < (response.content_length or 0)
        await response.read()


async def test_an_endless_body_goes_on(client: Client) -> None:
    """An endless body is still going after a megabyte and declares no length."""
    async with client.get("/behave/endless") as response:
        assert "Content-Length" not in response.headers
        assert len(await response.content.readexactly(1 << 20)) == 1 << 20


@pytest.mark.parametrize("path", ["hang", "endless", "slow-drip?rate=1"])
async def test_an_answer_without_end_ends_with_the_server(client: Client, path: str) -> None:
    """Shutting down does not wait for an answer that has no end."""
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
    """A late picture is a picture; a latency that is no number is refused."""
    assert await body_of(client, "/behave/latency?ms=1") == generated_pictures.picture(0, "jpg")
    assert await statuses(client, "/behave/latency?ms=soon", 1) == [400]


async def test_hits(client: Client) -> None:
    """Hits are counted by path, and by key where there is one; generated pictures together."""
    await statuses(client, "/behave/flaky?key=a", 2)
    await statuses(client, "/generated/1.png", 1)
    await statuses(client, "/generated/2.gif", 1)
    assert json.loads(await body_of(client, "/_hits")) == {
        "/behave/flaky": 2,
        "/behave/flaky?key=a": 2,
        "/generated": 2,
    }


def test_counts_are_bounded() -> None:
    """Beyond the limit the name that was counted longest ago is forgotten."""
    counts = Counts(limit=2)
    for name in ("a", "b", "a", "c"):
        counts.add(name)
    assert counts.all() == {"a": 2, "c": 1}


async def test_the_command_serves_and_says_where(tmp_path: Path, pictures: Path) -> None:
    """`python -m loadtest.origin` writes its address once it serves, and ends on SIGTERM."""
    ready = tmp_path / "origin.json"
    arguments = ["-m", "loadtest.origin", "--pictures", str(pictures), "--ready-file", str(ready)]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=PIPE,
    )
    try:
        assert process.stdout is not None
        said = (await process.stdout.readline()).decode()
        told = json.loads(await asyncio.to_thread(ready.read_text))
        assert told["url"] in said
        assert told["pid"] == process.pid
        url = f"{told['url']}/generated/1.png"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            assert answer.status == 200
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
def test_hosts_are_counted_up(host: str, count: int, hosts: tuple[str, ...]) -> None:
    """Several addresses of one origin, for consumers that limit what they ask of one host."""
    assert counted_up(host, count) == hosts
