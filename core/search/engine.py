"""The interface to a search engine: OpenSearch in production, SQLite for development."""

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
    INDEXED = "indexed"
    STALE = "stale"
    """The index has a higher revision. Writing the same revision again is INDEXED."""
    REJECTED = "rejected"
    """The engine will never take this document; a retry is useless."""
    UNAVAILABLE = "unavailable"
    """The engine does not take this document now; retry."""


@dataclass(frozen=True, slots=True)
class WriteResult:
    status: WriteStatus
    reason: str = ""
    """The engine's reason, if it did not take the document."""


HasImages = Callable[[], Awaitable[bool]]
"""Returns whether the table has images. Raises DependencyUnavailable."""


async def no_images() -> bool:
    """For programs without tables: a new index is then complete."""
    return False


class SearchReader(Protocol):
    async def search(
        self, query: SearchQuery, *, limit: int, after: SortKey | None = None, facets: bool = False
    ) -> SearchResult:
        """Return the `limit` hits after `after`. Raises SearchUnavailable."""

    async def close(self) -> None: ...


class Rebuild(Protocol):
    """Builds a new index beside the one that is read."""

    async def write(self, documents: Sequence[SearchDocument]) -> tuple[WriteResult, ...]:
        """Raises SearchUnavailable."""

    async def finish(self) -> None:
        """Replace the old index. The new one has all writes made since the rebuild began. Raises SearchUnavailable.

        If the caller is cancelled after the replacement, this returns normally.
        """


class SearchWriter(Protocol):
    async def prepare(self) -> None:
        """Create the index if it is missing. Idempotent.

        An index created while there are images is marked as incomplete. Raises SearchUnavailable and the errors of
        HasImages.
        """

    async def incomplete(self) -> bool:
        """Return whether the index was created empty although there were images, and not rebuilt since.

        The mark is stored in the index, so it outlives the writers. Raises the errors of `prepare`.
        """

    async def write(self, documents: Sequence[SearchDocument]) -> tuple[WriteResult, ...]:
        """Return the results in order. Raises SearchUnavailable if no document was written."""

    async def refresh(self) -> None:
        """Return once searches find all that was written. Raises SearchUnavailable."""

    def rebuild(self) -> AbstractAsyncContextManager[Rebuild]:
        """Start a rebuild. Leaving the context without `finish` changes nothing."""

    async def close(self) -> None: ...


def open_reader(settings: SearchSettings) -> SearchReader:
    """Open a reader for SEARCH_URL, which must be set."""
    reader: SearchReader = _import_engine(settings).open_reader(settings)
    return reader


def open_writer(settings: SearchSettings, has_images: HasImages = no_images) -> SearchWriter:
    """Open a writer for SEARCH_URL, which must be set."""
    writer: SearchWriter = _import_engine(settings).open_writer(settings, has_images)
    return writer


def _import_engine(settings: SearchSettings) -> Any:
    """Import the engine of SEARCH_URL: OpenSearch, or SQLite, which is only for development and tests.

    Imported lazily, so that the SQLite engine does not load the OpenSearch client (9 MB).
    """
    return import_module(f"core.search.{settings.search_engine}.engine")
