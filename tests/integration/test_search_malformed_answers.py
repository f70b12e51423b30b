"""A malformed answer of OpenSearch makes search unavailable, for every operation that the system calls."""

import ast
import json
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

import core.search.opensearch
from core.errors import SearchUnavailable
from core.search.opensearch import aliases
from core.search.opensearch.bulk import BulkItem, write_bulk
from core.search.opensearch.changes import Shard, changes_since, read_checkpoints
from core.search.opensearch.client import OpenSearchClient
from core.search.opensearch.reader import OpenSearchReader
from core.search.opensearch.rebuild import OpenSearchRebuild
from core.search.opensearch.schema import VERSION
from core.search.opensearch.writer import OpenSearchWriter
from core.search.query import SearchQuery
from harness.malformed import malformed
from harness.scripted_opensearch import engine
from harness.search_documents import ACME

OLD = "images-1"
ACKNOWLEDGED = {"acknowledged": True}
ALIASES = {OLD: {"aliases": {"images": {"is_write_index": True}}}}
HIT = {"_id": "a", "_version": 1, "_source": {"k": "v"}, "sort": [7]}
SHARDS = {"0": [{"routing": {"primary": True}, "seq_no": {"global_checkpoint": 7}}]}


@dataclass
class Engine:
    """Gives the answer of the operation under test to each request, except to those in `others`, by path."""

    answer: Any = None
    others: dict[str, Any] = field(default_factory=dict)
    exists: bool = True

    async def respond(self, request: web.Request) -> web.StreamResponse:
        await request.read()
        if request.method == "HEAD":
            return web.Response(status=200 if self.exists else 404)
        for end, answer in self.others.items():
            if request.path.endswith(end):
                return web.json_response(answer)
        return web.Response(body=json.dumps(self.answer), content_type="application/json")


Call = Callable[[OpenSearchClient], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Operation:
    """`name` is the library's method. `call` accepts the answer `valid`; `options` are for `malformed`."""

    name: str
    call: Call
    valid: Any
    options: dict[str, Any] = field(default_factory=dict)
    others: dict[str, Any] = field(default_factory=dict)
    exists: bool = True


def writer(client: OpenSearchClient) -> OpenSearchWriter:
    async def no_images() -> bool:
        return False

    return OpenSearchWriter(client, "images", search_timeout_s=1, has_images=no_images)


async def search(client: OpenSearchClient) -> None:
    reader = OpenSearchReader(client, client, "images")
    try:
        await reader.search(SearchQuery(ACME), limit=1, facets=True)
    finally:
        await reader._breaker.close()


async def changes(client: OpenSearchClient) -> None:
    shard = Shard(OLD, "0")
    async for _ in changes_since(client, {}, {shard: 7}):
        return


async def write(client: OpenSearchClient) -> None:
    await write_bulk(client, "write", "images", [BulkItem("a", 1, b"{}"), BulkItem("b", 1, b"{}")])


async def start_rebuild(client: OpenSearchClient) -> None:
    rebuild = OpenSearchRebuild(client, "images", search_timeout_s=1)
    await rebuild.start()


async def delete(client: OpenSearchClient) -> None:
    await OpenSearchRebuild(client, "images", search_timeout_s=1)._delete([OLD], 5)


async def searches_in_flight(client: OpenSearchClient) -> None:
    await OpenSearchRebuild(client, "images", search_timeout_s=1)._searches_in_flight([OLD])


def facet(value: str) -> dict[str, Any]:
    return {"buckets": [{"key": value, "doc_count": 1}]}


FACETS = {name: facet("x") for name in ("format", "color", "camera", "origin_host")}
BUCKETS = [("aggregations", name, "buckets") for name in FACETS]
SEARCHED = {
    "hits": {"total": {"value": 2}, "hits": [{"sort": [1, "a"]}, {"sort": [2, "b"]}]},
    "aggregations": FACETS,
}
METAS = {OLD: {"mappings": {"_meta": {"version": VERSION}}}}

OPERATIONS = [
    Operation(
        "search",
        search,
        SEARCHED,
        {"shorter": [("hits", "hits"), *BUCKETS], "longer": BUCKETS},
    ),
    Operation(
        "search",
        changes,
        {"hits": {"hits": [HIT, HIT]}},
        {
            "shorter": [("hits", "hits")],
            "longer": [("hits", "hits")],
            "unread": [("hits", "hits", 0, "_source")],
        },
    ),
    Operation(
        "bulk",
        write,
        {"items": [{"index": {"status": 201}}, {"index": {"status": 409}}]},
    ),
    Operation(
        "indices.get_alias",
        lambda client: aliases.indexes_of(client, "images"),
        ALIASES,
        {"unread": [(OLD, "aliases", "images")], "optional": [(OLD, "aliases", "images")]},
    ),
    Operation(
        "indices.get_alias",
        lambda client: writer(client)._has_write_index(),
        ALIASES,
        {"optional": [(OLD, "aliases", "images", "is_write_index")]},
    ),
    Operation(
        "indices.add_block",
        lambda client: aliases.block_writes(client, [OLD]),
        {**ACKNOWLEDGED, "indices": [{"name": OLD, "blocked": True}]},
        {"shorter": [("indices",)], "longer": [("indices",)]},
    ),
    Operation(
        "indices.put_settings", lambda client: aliases.unblock_writes(client, [OLD]), ACKNOWLEDGED
    ),
    Operation(
        "indices.update_aliases",
        lambda client: aliases.swap_alias(client, "images", [OLD], "images-2", "own"),
        ACKNOWLEDGED,
    ),
    Operation(
        "indices.update_aliases",
        lambda client: aliases.abort_swap(client, "images-2", "own"),
        ACKNOWLEDGED,
    ),
    Operation(
        "indices.stats",
        lambda client: read_checkpoints(client, [OLD]),
        {"indices": {OLD: {"shards": SHARDS}}},
        {"longer": [("indices", OLD, "shards", "0")]},
    ),
    Operation(
        "indices.stats",
        searches_in_flight,
        {"_all": {"total": {"search": {"query_current": 0, "fetch_current": 0}}}},
    ),
    Operation(
        "indices.refresh",
        lambda client: writer(client).refresh(),
        {"_shards": {"failed": 0}},
    ),
    Operation(
        "indices.put_index_template", lambda client: writer(client)._ensure_index(), ACKNOWLEDGED
    ),
    Operation(
        "indices.create",
        lambda client: writer(client)._ensure_index(),
        ACKNOWLEDGED,
        others={"/_index_template/images": ACKNOWLEDGED},
        exists=False,
    ),
    Operation(
        "indices.create",
        start_rebuild,
        ACKNOWLEDGED,
        others={
            "/_alias/images": ALIASES,
            "/_stats/docs": {"indices": {OLD: {"shards": SHARDS}}},
        },
    ),
    Operation("indices.delete", delete, ACKNOWLEDGED),
    Operation(
        "indices.get_mapping",
        lambda client: writer(client).incomplete(),
        METAS,
        {
            "optional": [(OLD, "mappings", "_meta")],
            "unread": [(OLD, "mappings", "_meta")],
        },
    ),
]
WITHOUT_BODY = {"indices.exists_alias"}
"""The status is the answer to a HEAD."""


@pytest.mark.parametrize("tested", OPERATIONS, ids=lambda tested: tested.name)
async def test_a_malformed_answer_makes_search_unavailable(tested: Operation) -> None:
    """It is never another error, and never accepted."""
    scripted = Engine(tested.valid, tested.others, tested.exists)
    async with engine(scripted.respond) as url:
        client = OpenSearchClient(url, seconds=30)
        try:
            await tested.call(client)
            wrong: list[str] = []
            for text, answer in [*malformed(tested.valid, **tested.options), ("empty", {})]:
                scripted.answer = answer
                try:
                    await tested.call(client)
                except SearchUnavailable:
                    continue
                except Exception as error:  # noqa: BLE001  each must be named
                    wrong.append(f"{text}: {error!r}")
                else:
                    wrong.append(f"{text}: accepted")
            assert not wrong
        finally:
            await client.close()


def test_every_operation_that_the_system_calls_is_tested() -> None:
    """Each call is a method of the library's client, which the code names `opensearch`."""
    assert {tested.name for tested in OPERATIONS} | WITHOUT_BODY == set(called_operations())


def called_operations() -> Iterator[str]:
    (folder,) = core.search.opensearch.__path__
    for module in Path(folder).glob("*.py"):
        for node in ast.walk(ast.parse(module.read_text())):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                if name.startswith("opensearch."):
                    yield name.removeprefix("opensearch.")
