"""What goes to an OpenSearch, and what is made of odd answers: the engine here is one that a test writes itself.

What a real one does is in tests/cluster/opensearch.
"""

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from aiohttp import web
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from cli.local.embedded_aws import HOST
from core.errors import SearchUnavailable

# An import blocks the loop.
from core.search.opensearch import engine as opensearch
from core.search.opensearch.reader import OpenSearchReader
from core.search.query import SearchQuery
from harness.scripted_opensearch import engine, settings
from harness.search_documents import ACME, document

NOTHING = {"hits": {"total": {"value": 0, "relation": "eq"}, "hits": []}}
SOON_S = 0.5


@asynccontextmanager
async def reader(url: str, **others: Any) -> AsyncIterator[OpenSearchReader]:
    opened = opensearch.open_reader(settings(url, **others))
    try:
        yield opened
    finally:
        await opened.close()


async def ask(asking: OpenSearchReader, customer: str = ACME) -> int:
    return (await asking.search(SearchQuery(customer), limit=10)).total


async def empty(request: web.Request) -> web.Response:
    await request.read()
    return web.json_response(NOTHING)


def test_calls_are_signed_as_amazon_checks_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """The signature is that of what arrives: path, query, body and headers, by the process's credentials."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    credentials = Credentials("key", "secret", "token")
    expected: list[tuple[str, str]] = []
    arrived: list[str] = []

    async def take(request: web.Request) -> web.Response:
        arrived.append(request.headers["authorization"])
        expected.append((request.path, signed_again(request, await request.read(), credentials)))
        return web.json_response(NOTHING)

    async def call() -> None:
        async with engine(take) as url, reader(url, search_signed=True) as signing:
            assert await ask(signing) == 0
            writer = opensearch.open_writer(settings(url, search_signed=True))
            with pytest.raises(SearchUnavailable):
                await writer.write([document(camera="é ü")])
            await writer.ping()
            await writer.close()

    # Not on a loop that may not block: the SDK reads its files when it first looks for credentials.
    asyncio.run(call())
    assert [path for path, _ in expected] == ["/images/_search", "/images/_bulk", "/_alias/images"]
    assert arrived == [header for _, header in expected]


def signed_again(request: web.Request, body: bytes, credentials: Credentials) -> str:
    """The header that whoever checks would expect of a request, by the headers that it says are signed."""
    names = request.headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0]
    assert {"content-type", "host", "x-amz-date"} <= set(names.split(";"))
    assert request.headers["x-amz-content-sha256"] == hashlib.sha256(body).hexdigest()
    told = {name: request.headers[name] for name in names.split(";") if name != "x-amz-date"}
    again = AWSRequest(request.method, str(request.url), told, body)
    again.context["timestamp"] = request.headers["x-amz-date"]
    auth = SigV4Auth(credentials, "es", "eu-central-1")
    again.headers["X-Amz-Date"] = request.headers["x-amz-date"]
    canonical = auth.canonical_request(again)
    return (
        f"AWS4-HMAC-SHA256 Credential={auth.scope(again)}, SignedHeaders={names}, "
        f"Signature={auth.signature(auth.string_to_sign(again, canonical), again)}"
    )


def test_without_credentials_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Search is unavailable then, and says why."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    called = []

    async def take(request: web.Request) -> web.Response:
        called.append(request.path)
        return await empty(request)

    async def call() -> None:
        async with engine(take) as url, reader(url, search_signed=True) as signing:
            with pytest.raises(SearchUnavailable, match="Unable to locate credentials"):
                await ask(signing)

    asyncio.run(call())
    assert called == []


async def test_name_password_and_path_of_the_url_are_used() -> None:
    """As an engine behind a proxy may want; neither name nor password is in what is raised."""
    arrived: list[web.Request] = []

    async def refuse(request: web.Request) -> web.Response:
        arrived.append(request)
        return web.Response(status=401, text="who are you?")

    async with engine(refuse) as url:
        named = url.replace("http://", "http://na%20me:pass%3Aword@") + "/prefix/"
        async with reader(named) as asking:
            with pytest.raises(SearchUnavailable, match=r"401 who are you\?") as raised:
                await ask(asking)
    assert "pass" not in str(raised.value)
    (request,) = arrived
    assert request.path == "/prefix/images/_search"
    told = request.headers["authorization"].removeprefix("Basic ")
    assert base64.b64decode(told) == b"na me:pass:word"


@pytest.mark.parametrize(
    "answer",
    [
        web.Response(text="<html>", content_type="text/html"),
        web.json_response({}),
        web.json_response([1]),
        web.json_response({"hits": {"total": 3, "hits": []}}),
        web.json_response({"hits": {"total": {"value": 1}, "hits": [{"_id": "a"}]}}),
        web.Response(text="{", content_type="application/json"),
        web.Response(status=200),
    ],
    ids=["a page", "nothing", "a list", "an old total", "no sort", "half", "empty"],
)
async def test_whoever_is_no_opensearch_is_no_search(answer: web.Response) -> None:
    """Any server may listen at the URL: search is unavailable, and nothing else goes wrong."""

    async def odd(request: web.Request) -> web.StreamResponse:
        await request.read()
        return web.Response(
            status=answer.status, body=answer.body, headers={"content-type": answer.content_type}
        )

    async with engine(odd) as url, reader(url) as asking:
        with pytest.raises(SearchUnavailable):
            await ask(asking)
        writer = opensearch.open_writer(settings(url))
        with pytest.raises(SearchUnavailable):
            await writer.write([document()])
        await writer.close()


@pytest.mark.parametrize(
    ("status", "outage"), [(429, True), (503, True), (400, False), (403, False)]
)
async def test_what_keeps_callers_away_is_an_outage(status: int, *, outage: bool) -> None:
    """An engine that refuses is well; one that is overloaded or broken is left alone for a moment."""
    calls = []

    async def refuse(request: web.Request) -> web.Response:
        calls.append(await request.read())
        return web.json_response({"error": {"type": "t", "reason": "because"}}, status=status)

    async with engine(refuse) as url, reader(url) as asking:
        asking._circuit._clock = lambda: 100.0
        for _ in range(5):
            with pytest.raises(SearchUnavailable):
                await ask(asking)
    assert len(calls) == (1 if outage else 5)


async def test_a_slow_question_keeps_no_other_from_the_engine() -> None:
    """Who asks what takes too long is told so, while others are answered; one who is alone takes it for an outage."""
    asked = asyncio.Event()

    async def slow_for_one(request: web.Request) -> web.Response:
        content = orjson.loads(await request.read())
        if content["query"]["bool"]["filter"][0] == {"term": {"customer_id": "slow"}}:
            asked.set()
            await asyncio.sleep(30)
        return web.json_response(NOTHING)

    async with engine(slow_for_one) as url, reader(url, search_timeout_s=SOON_S) as asking:
        asking._circuit._clock = lambda: 100.0
        slow = asyncio.create_task(ask(asking, "slow"))
        await asked.wait()
        assert await ask(asking) == 0
        with pytest.raises(SearchUnavailable, match="TimeoutError"):
            await slow
        assert await ask(asking) == 0
        with pytest.raises(SearchUnavailable, match="TimeoutError"):
            await ask(asking, "slow")
        with pytest.raises(SearchUnavailable, match="known to be down"):
            await ask(asking)


async def test_who_listens_and_says_nothing_is_down() -> None:
    """A connection that is taken and never answered costs the time-out."""

    hung_up = asyncio.Event()

    async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        await writer.wait_closed()
        hung_up.set()

    server = await asyncio.start_server(silence, HOST, 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        async with reader(f"http://{HOST}:{port}", search_timeout_s=SOON_S) as asking:
            with pytest.raises(SearchUnavailable, match="TimeoutError"):
                await ask(asking)
        await hung_up.wait()
