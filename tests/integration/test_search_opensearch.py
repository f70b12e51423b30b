"""What goes to an OpenSearch, and what is made of odd answers: the engine here is one that a test writes itself.

What a real one does is in tests/cluster/opensearch.
"""

import asyncio
import base64
import hashlib
from dataclasses import replace

import pytest
from aiohttp import web
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from core.errors import SearchUnavailable

# An import blocks the loop.
from core.search.opensearch import engine as opensearch
from core.search.query import SearchQuery, SortKey, Term
from harness.scripted_opensearch import NOTHING, ask, engine, reader, settings
from harness.search_documents import ACME, document


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
            with pytest.raises(SearchUnavailable, match="KeyError"):
                await writer.incomplete()
            await writer.close()

    # Not on a loop that may not block: the SDK reads its files when it first looks for credentials.
    asyncio.run(call())
    assert [path for path, _ in expected] == [
        "/images/_search",
        "/images/_bulk",
        "/images/_mapping",
    ]
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


async def test_all_pages_of_a_walk_come_from_one_copy() -> None:
    """A query has a preference, wherever in it the page is; another query may have another."""
    preferences: list[str] = []

    async def take(request: web.Request) -> web.Response:
        preferences.append(request.query["preference"])
        return await empty(request)

    async with engine(take) as url, reader(url) as asking:
        query = SearchQuery(ACME, words=(Term("é"),), formats=("PNG",))
        await asking.search(query, limit=10)
        await asking.search(query, limit=20, after=SortKey(0, 5, "a"))
        await asking.search(replace(query, formats=("JPEG",)), limit=10)
    first, second, other = preferences
    assert first == second != other
    assert 0 < len(first) <= 32
    # With it would begin what has a meaning of its own, such as _local.
    assert not first.startswith("_")
