"""Writes, and the index that they need."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager

import structlog
from opensearchpy import AsyncOpenSearch, NotFoundError

from core.errors import SearchUnavailable
from core.search.document import SearchDocument
from core.search.engine import Written
from core.search.opensearch.bulk import entry, put
from core.search.opensearch.link import Link
from core.search.opensearch.rebuild import OpenSearchRebuild, rebuilding
from core.search.opensearch.schema import VERSION, index_name, template

_log = structlog.get_logger()


class OpenSearchWriter:
    """`search_seconds` is the longest that readers wait for an answer."""

    def __init__(self, link: Link, alias: str, *, search_seconds: float) -> None:
        self._link = link
        self._alias = alias
        self._search_seconds = search_seconds

    async def prepare(self) -> None:
        await self._ensure_index()
        found = await self._version()
        if found != VERSION:
            raise SearchUnavailable(
                f"the index behind {self._alias} is of version {found}, and this is {VERSION}: reindex makes a new one"
            )
        if not await self._has_write_index():
            raise SearchUnavailable(
                f"none of the indexes that {self._alias} stands for is to be written to: reindex makes one that is"
            )

    async def write(self, documents: Sequence[SearchDocument]) -> tuple[Written, ...]:
        entries = [entry(document) for document in documents]
        return await put(self._link, "write", self._alias, entries)

    async def refresh(self) -> None:
        await self._link.call("refresh", lambda client: client.indices.refresh(index=self._alias))

    async def ping(self) -> None:
        if not await self._exists("ping"):
            raise SearchUnavailable(f"ping: there is no alias {self._alias}")

    def rebuild(self) -> AbstractAsyncContextManager[OpenSearchRebuild]:
        return rebuilding(
            self._link,
            self._alias,
            prepare=self._ensure_index,
            search_seconds=self._search_seconds,
        )

    async def close(self) -> None:
        await self._link.close()

    async def _ensure_index(self) -> None:
        """Any number of processes may do so at once."""
        await self._link.call(
            "prepare",
            lambda client: client.indices.put_index_template(
                name=self._alias, body=template(self._alias)
            ),
        )
        if await self._exists("prepare"):
            return
        # An alias has one write index at most: of all that try, one succeeds.
        aliases = {self._alias: {"is_write_index": True}}
        index = index_name(self._alias)
        try:
            await self._link.call(
                "prepare",
                lambda client: client.indices.create(index=index, body={"aliases": aliases}),
            )
        except SearchUnavailable:
            if not await self._exists("prepare"):
                raise
            return
        _log.warning(
            "there was no index, and a new one was made, which is empty: `imageservice reindex` brings back what the "
            "tables have",
            index=index,
        )

    async def _exists(self, operation: str) -> bool:
        return bool(
            await self._link.call(
                operation, lambda client: client.indices.exists_alias(name=self._alias)
            )
        )

    async def _has_write_index(self) -> bool:
        """One index is written to unless it says no, and of several the one that says yes."""

        async def ask(client: AsyncOpenSearch) -> bool:
            known = await client.indices.get_alias(name=self._alias)
            said = [each["aliases"][self._alias].get("is_write_index") for each in known.values()]
            return True in said or said == [None]

        return await self._link.call("prepare", ask)

    async def _version(self) -> object:
        """That of the index behind the alias."""

        async def ask(client: AsyncOpenSearch) -> object:
            try:
                answer = await client.indices.get_mapping(index=self._alias)
            except NotFoundError:
                return None
            # One by the alias, and the highest where somebody has put it before several.
            metas = [each["mappings"].get("_meta", {}) for each in answer.values()]
            return max((meta.get("version", 0) for meta in metas), default=None)

        return await self._link.call("prepare", ask)
