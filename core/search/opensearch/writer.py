"""Writes documents, and creates the index that they need."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any

import structlog

from core.answers import MalformedAnswer, member, optional_member
from core.errors import SearchUnavailable
from core.search.document import SearchDocument
from core.search.engine import HasImages, WriteResult
from core.search.metrics import initialise_calls
from core.search.opensearch.answers import (
    decode_acknowledged,
    decode_aliases,
    decode_exists,
    decode_refresh,
)
from core.search.opensearch.bulk import to_item, write_bulk
from core.search.opensearch.client import OpenSearchClient
from core.search.opensearch.rebuild import OpenSearchRebuild, rebuilding
from core.search.opensearch.schema import (
    INCOMPLETE,
    VERSION,
    index_body,
    index_name,
    index_template,
)

_FLAG = "is_write_index"

_log = structlog.get_logger()


class OpenSearchWriter:
    """`search_timeout_s` is the longest time that readers wait for an answer."""

    def __init__(
        self,
        client: OpenSearchClient,
        alias: str,
        *,
        search_timeout_s: float,
        has_images: HasImages,
    ) -> None:
        initialise_calls("prepare", "inspect", "write")
        self._client = client
        self._alias = alias
        self._search_timeout_s = search_timeout_s
        self._has_images = has_images

    async def prepare(self) -> None:
        await self._ensure_index()
        # Usually one index; several if an operator put the alias on several.
        metas = await self._index_metas("prepare")
        version = max((meta.get("version", 0) for meta in metas), default=None)
        if version != VERSION:
            raise SearchUnavailable(
                f"the index behind {self._alias} has version {version}, and this program needs {VERSION}: "
                "reindex makes a new one"
            )
        if not await self._has_write_index():
            raise SearchUnavailable(
                f"none of the indexes behind {self._alias} takes writes: reindex makes one that does"
            )

    async def incomplete(self) -> bool:
        return any(meta.get(INCOMPLETE) for meta in await self._index_metas("inspect"))

    async def write(self, documents: Sequence[SearchDocument]) -> tuple[WriteResult, ...]:
        items = [to_item(document) for document in documents]
        return await write_bulk(self._client, "write", self._alias, items)

    async def refresh(self) -> None:
        await self._client.call(
            "refresh",
            lambda opensearch: opensearch.indices.refresh(index=self._alias),
            decode_refresh,
        )

    def rebuild(self) -> AbstractAsyncContextManager[OpenSearchRebuild]:
        return rebuilding(
            self._client,
            self._alias,
            prepare=self._ensure_index,
            search_timeout_s=self._search_timeout_s,
        )

    async def close(self) -> None:
        await self._client.close()

    async def _ensure_index(self) -> None:
        """Create the template, and an index if there is none. Several processes may do so at once."""
        await self._client.call(
            "prepare",
            lambda opensearch: opensearch.indices.put_index_template(
                name=self._alias, body=index_template(self._alias)
            ),
            decode_acknowledged,
        )
        if await self._alias_exists():
            return
        # Checked before the index exists: images recorded later have an event that waits for the index.
        incomplete = await self._has_images()
        body = index_body(self._alias, incomplete=incomplete)
        index = index_name(self._alias)
        # An alias has at most one write index, so only one process succeeds.
        try:
            await self._client.call(
                "prepare",
                lambda opensearch: opensearch.indices.create(index=index, body=body),
                decode_acknowledged,
            )
        except SearchUnavailable:
            if not await self._alias_exists():
                raise
            return
        if incomplete:
            _log.warning(
                "empty search index created; `imageservice reindex` fills it from the tables",
                index=index,
            )

    async def _alias_exists(self) -> bool:
        return await self._client.call(
            "prepare",
            lambda opensearch: opensearch.indices.exists_alias(name=self._alias),
            decode_exists,
        )

    async def _has_write_index(self) -> bool:
        """Return whether the alias takes writes: a single index unless it says no, else the index that says yes."""
        flags = await self._client.call(
            "prepare",
            lambda opensearch: opensearch.indices.get_alias(name=self._alias),
            partial(_decode_write_flags, self._alias),
        )
        return True in flags or flags == [None]

    async def _index_metas(self, operation: str) -> Sequence[Mapping[str, Any]]:
        """Return `_meta` of each index behind the alias. Raises SearchUnavailable, also if there is no index."""
        return await self._client.call(
            operation,
            lambda opensearch: opensearch.indices.get_mapping(index=self._alias),
            _decode_metas,
        )


def _decode_write_flags(alias: str, answer: Mapping[str, Any]) -> list[bool | None]:
    """Decode the aliases of the indexes behind an alias: whether each takes its writes, None if it does not say."""
    options = [aliases[alias] for aliases in decode_aliases(answer).values()]
    return [member(each, _FLAG, bool) if _FLAG in each else None for each in options]


def _decode_metas(answer: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    if not answer:
        raise MalformedAnswer("no index")
    return [optional_member(each["mappings"], "_meta", dict, {}) for each in answer.values()]
