"""An OpenSearch whose responses come from the test, for tests of the client."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from cli.local.embedded_aws import HOST
from core.search.opensearch import engine as opensearch
from core.search.opensearch.reader import OpenSearchReader
from core.search.query import SearchQuery
from core.search.settings import SearchSettings
from harness.search_documents import ACME

NOTHING = {"hits": {"total": {"value": 0, "relation": "eq"}, "hits": []}}

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def engine(answer: Answer) -> AsyncIterator[str]:
    """Serve these responses on a free port; yield the URL."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, HOST, 0).start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


def settings(url: str, **others: Any) -> SearchSettings:
    return SearchSettings.model_validate(
        {"search_url": url, "search_index": "images", "search_timeout_s": 30} | others
    )


@asynccontextmanager
async def reader(url: str, **others: Any) -> AsyncIterator[OpenSearchReader]:
    opened = opensearch.open_reader(settings(url, **others))
    try:
        yield opened
    finally:
        await opened.close()


async def search_total(opened: OpenSearchReader, customer: str = ACME) -> int:
    return (await opened.search(SearchQuery(customer), limit=10)).total
