"""The port to a search engine: OpenSearch in production, SQLite on a laptop."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum
from importlib import import_module
from typing import Any, Protocol

from core.search.document import SearchDocument
from core.search.query import SearchQuery, SearchResult, SortKey
from core.search.settings import SearchSettings


class WriteStatus(StrEnum):
    """What became of a document that was written."""

    INDEXED = "indexed"
    STALE = "stale"
    """The index has it at a higher revision. What is written again at the same one is INDEXED again."""
    REJECTED = "rejected"
    """The engine will not take this document, however often it is offered."""
    UNAVAILABLE = "unavailable"
    """Not now."""


@dataclass(frozen=True, slots=True)
class WriteResult:
    status: WriteStatus
    reason: str = ""
    """The engine's words, where it did not take the document."""


HasImages = Callable[[], Awaitable[bool]]
"""Whether there are images to be found at all. Raises DependencyUnavailable."""


async def no_images() -> bool:
    """For who has no tables: every index that is made is then whole."""
    return False


class SearchReader(Protocol):
    async def search(
        self,
        query: SearchQuery,
        *,
        limit: int,
        after: SortKey | None = None,
        facets: bool = False,
    ) -> SearchResult:
        """The `limit` hits behind `after`. Raises SearchUnavailable."""

    async def close(self) -> None: ...


class Rebuild(Protocol):
    """A new index beside the one that is read."""

    async def write(self, documents: Sequence[SearchDocument]) -> tuple[WriteResult, ...]:
        """Raises SearchUnavailable."""

    async def finish(self) -> None:
        """Put it in the other's place. What others wrote since the rebuild began is in it. Raises SearchUnavailable.

        Whoever is cancelled once it is read hears nothing of that: it returns, for all is done.
        """


class SearchWriter(Protocol):
    async def prepare(self) -> None:
        """Make what is missing for writing and reading; harmless when repeated.

        An index that is made while there are images is marked as incomplete. Raises SearchUnavailable, and what asking
        for images raises.
        """

    async def incomplete(self) -> bool:
        """Whether the index was made empty although there were images, and no rebuild has made another since.

        The mark is the index's own, so that it outlives all who write. Raises as `prepare` does.
        """

    async def write(self, documents: Sequence[SearchDocument]) -> tuple[WriteResult, ...]:
        """What became of each, in their order. Raises SearchUnavailable where none was taken."""

    async def refresh(self) -> None:
        """Return once everything that was written can be found. Raises SearchUnavailable."""

    def rebuild(self) -> AbstractAsyncContextManager[Rebuild]:
        """Left without `finish`, it leaves everything as it was."""

    async def close(self) -> None: ...


def open_reader(settings: SearchSettings) -> SearchReader:
    """The reader of the engine that SEARCH_URL names, which must be set."""
    reader: SearchReader = _engine(settings).open_reader(settings)
    return reader


def open_writer(settings: SearchSettings, has_images: HasImages = no_images) -> SearchWriter:
    """The writer of the engine that SEARCH_URL names, which must be set."""
    writer: SearchWriter = _engine(settings).open_writer(settings, has_images)
    return writer


def _engine(settings: SearchSettings) -> Any:
    """Imported only where it is used: who keeps a file does without OpenSearch's client, 9 MB of a process."""
    return import_module(f"core.search.{settings.search_engine}.engine")
