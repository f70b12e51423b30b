"""Requests to OpenSearch, and the treatment of unexpected responses. The engine is scripted by each test.

tests/cluster/opensearch tests a real OpenSearch.
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

# Imported here because the import blocks the event loop.
from core.search.opensearch import engine as opensearch
from core.search.query import SearchQuery, SortKey, Term
from harness.scripted_opensearch import NOTHING, engine, reader, search_total, settings
from harness.search_documents import ACME, document


async def empty(request: web.Request) -> web.Response:
    await request.read()
    return web.json_response(NOTHING)


def test_requests_have_a_valid_aws_signature(monkeypatch: pytest.MonkeyPatch) -> None:
    """The signature covers path, query, body and headers as they arrive, with the process's credentials."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    credentials = Credentials("key", "secret", "token")
    expected: list[tuple[str, str]] = []
    received: list[str] = []

    async def record(request: web.Request) -> web.Response:
        received.append(request.headers["authorization"])
        header = expected_signature(request, await request.read(), credentials)
        expected.append((request.path, header))
        return web.json_response(NOTHING)

    async def call() -> None:
        async with engine(record) as url, reader(url, search_signed=True) as client:
            assert await search_total(client) == 0
            writer = opensearch.open_writer(settings(url, search_signed=True))
            with pytest.raises(SearchUnavailable):
                await writer.write([document(camera="é ü")])
            with pytest.raises(SearchUnavailable, match="KeyError"):
                await writer.incomplete()
            await writer.close()

    # In a loop of its own: the SDK blocks the loop when it first reads its files for credentials.
    asyncio.run(call())
    assert [path for path, _ in expected] == [
        "/images/_search",
        "/images/_bulk",
        "/images/_mapping",
    ]
    assert received == [header for _, header in expected]


def expected_signature(request: web.Request, body: bytes, credentials: Credentials) -> str:
    """Return the Authorization header that botocore computes for a request and its SignedHeaders."""
    names = request.headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0]
    assert {"content-type", "host", "x-amz-date"} <= set(names.split(";"))
    assert request.headers["x-amz-content-sha256"] == hashlib.sha256(body).hexdigest()
    headers = {name: request.headers[name] for name in names.split(";") if name != "x-amz-date"}
    copy = AWSRequest(request.method, str(request.url), headers, body)
    copy.context["timestamp"] = request.headers["x-amz-date"]
    auth = SigV4Auth(credentials, "es", "eu-central-1")
    copy.headers["X-Amz-Date"] = request.headers["x-amz-date"]
    canonical = auth.canonical_request(copy)
    return (
        f"AWS4-HMAC-SHA256 Credential={auth.scope(copy)}, SignedHeaders={names}, "
        f"Signature={auth.signature(auth.string_to_sign(copy, canonical), copy)}"
    )


def test_without_credentials_no_request_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Search is unavailable, and the error names the reason."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    called = []

    async def record(request: web.Request) -> web.Response:
        called.append(request.path)
        return await empty(request)

    async def call() -> None:
        async with engine(record) as url, reader(url, search_signed=True) as client:
            with pytest.raises(SearchUnavailable, match="Unable to locate credentials"):
                await search_total(client)

    asyncio.run(call())
    assert called == []


async def test_user_password_and_path_of_the_url_are_used() -> None:
    """An engine behind a proxy may need them. The error contains no password."""
    received: list[web.Request] = []

    async def refuse(request: web.Request) -> web.Response:
        received.append(request)
        return web.Response(status=401, text="who are you?")

    async with engine(refuse) as url:
        full_url = url.replace("http://", "http://na%20me:pass%3Aword@") + "/prefix/"
        async with reader(full_url) as client:
            with pytest.raises(SearchUnavailable, match=r"401 who are you\?") as raised:
                await search_total(client)
    assert "pass" not in str(raised.value)
    (request,) = received
    assert request.path == "/prefix/images/_search"
    credentials = request.headers["authorization"].removeprefix("Basic ")
    assert base64.b64decode(credentials) == b"na me:pass:word"


@pytest.mark.parametrize(
    "response",
    [
        web.Response(text="<html>", content_type="text/html"),
        web.json_response({}),
        web.json_response([1]),
        web.json_response({"hits": {"total": 3, "hits": []}}),
        web.json_response({"hits": {"total": {"value": 1}, "hits": [{"_id": "a"}]}}),
        web.Response(text="{", content_type="application/json"),
        web.Response(status=200),
    ],
    ids=[
        "HTML",
        "empty object",
        "list",
        "old format of total",
        "no sort",
        "truncated JSON",
        "empty body",
    ],
)
async def test_an_unexpected_response_makes_search_unavailable(response: web.Response) -> None:
    """Any kind of server may listen at the URL: search is unavailable, and no other error is raised."""

    async def respond(request: web.Request) -> web.StreamResponse:
        await request.read()
        headers = {"content-type": response.content_type}
        return web.Response(status=response.status, body=response.body, headers=headers)

    async with engine(respond) as url, reader(url) as client:
        with pytest.raises(SearchUnavailable):
            await search_total(client)
        writer = opensearch.open_writer(settings(url))
        with pytest.raises(SearchUnavailable):
            await writer.write([document()])
        await writer.close()


async def test_all_pages_of_a_query_come_from_one_shard_copy() -> None:
    """The `preference` depends on the query, not on the page."""
    preferences: list[str] = []

    async def record(request: web.Request) -> web.Response:
        preferences.append(request.query["preference"])
        return await empty(request)

    async with engine(record) as url, reader(url) as client:
        query = SearchQuery(ACME, words=(Term("é"),), formats=("PNG",))
        await client.search(query, limit=10)
        await client.search(query, limit=20, after=SortKey(0, 5, "a"))
        await client.search(replace(query, formats=("JPEG",)), limit=10)
    first, second, other = preferences
    assert first == second != other
    assert 0 < len(first) <= 32
    # Values that start with an underscore are reserved by OpenSearch, such as _local.
    assert not first.startswith("_")
