"""Writes, and the index that they need."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import structlog
from opensearchpy import AsyncOpenSearch

from core.errors import SearchUnavailable
from core.search.document import SearchDocument
from core.search.engine import HasImages, WriteResult
from core.search.opensearch.bulk import entry, put
from core.search.opensearch.client import Link
from core.search.opensearch.query_dsl import MalformedAnswer
from core.search.opensearch.rebuild import OpenSearchRebuild, rebuilding
from core.search.opensearch.schema import INCOMPLETE, VERSION, empty, index_name, template

_log = structlog.get_logger()


class OpenSearchWriter:
    """`search_seconds` is the longest that readers wait for an answer."""

    def __init__(
        self, link: Link, alias: str, *, search_seconds: float, has_images: HasImages
    ) -> None:
        self._link = link
        self._alias = alias
        self._search_seconds = search_seconds
        self._images_exist = has_images

    async def prepare(self) -> None:
        await self._ensure_index()
        # Of one index by the alias, and of all where somebody has put it before several.
        metas = await self._metas("prepare")
        found = max((meta.get("version", 0) for meta in metas), default=None)
        if found != VERSION:
            raise SearchUnavailable(
                f"the index behind {self._alias} is of version {found}, and this is {VERSION}: reindex makes a new one"
            )
        if not await self._has_write_index():
            raise SearchUnavailable(
                f"none of the indexes that {self._alias} stands for is to be written to: reindex makes one that is"
            )

    async def incomplete(self) -> bool:
        return any(meta.get(INCOMPLETE) for meta in await self._metas("inspect"))

    async def write(self, documents: Sequence[SearchDocument]) -> tuple[WriteResult, ...]:
        entries = [entry(document) for document in documents]
        return await put(self._link, "write", self._alias, entries)

    async def refresh(self) -> None:
        await self._link.call("refresh", lambda client: client.indices.refresh(index=self._alias))

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
        if await self._exists():
            return
        # Asked now, while there is no index: what is recorded later has an event that waits for one.
        incomplete = await self._images_exist()
        body = empty(self._alias, incomplete=incomplete)
        index = index_name(self._alias)
        # An alias has one write index at most: of all that try, one succeeds.
        try:
            await self._link.call(
                "prepare", lambda client: client.indices.create(index=index, body=body)
            )
        except SearchUnavailable:
            if not await self._exists():
                raise
            return
        if incomplete:
            _log.warning(
                "there was no index, and a new one was made, which is empty: `imageservice reindex` brings back what "
                "the tables have",
                index=index,
            )

    async def _exists(self) -> bool:
        return bool(
            await self._link.call(
                "prepare", lambda client: client.indices.exists_alias(name=self._alias)
            )
        )

    async def _has_write_index(self) -> bool:
        """One index is written to unless it says no, and of several the one that says yes."""

        async def ask(client: AsyncOpenSearch) -> bool:
            known = await client.indices.get_alias(name=self._alias)
            said = [each["aliases"][self._alias].get("is_write_index") for each in known.values()]
            return True in said or said == [None]

        return await self._link.call("prepare", ask)

    async def _metas(self, operation: str) -> Sequence[Mapping[str, Any]]:
        """What the index behind the alias says of itself. Raises SearchUnavailable, also where there is none."""

        async def ask(client: AsyncOpenSearch) -> Sequence[Mapping[str, Any]]:
            answer = await client.indices.get_mapping(index=self._alias)
            try:
                return [dict(each["mappings"].get("_meta", {})) for each in answer.values()]
            except (AttributeError, LookupError, TypeError, ValueError) as error:
                raise MalformedAnswer(f"{type(error).__name__}: {error}") from error

        return await self._link.call(operation, ask)
