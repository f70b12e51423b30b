"""Checks whether tables and engine can index again, without receiving an event: each receive is counted."""

from collections.abc import Sequence

import structlog

from consumer.indexer.lookup import look_up
from core.dynamodb.tables import Tables
from core.errors import DependencyUnavailable, Overloaded, SearchUnavailable
from core.search.document import SearchDocument
from core.search.engine import SearchWriter, WriteStatus

_log = structlog.get_logger()


class EngineHealthCheck:
    """Reads and writes documents of events that were received already. A repeated write is harmless."""

    def __init__(self, tables: Tables, engine: SearchWriter) -> None:
        self._tables = tables
        self._engine = engine
        self._indexed: str | None = None

    def remember_indexed(self, request_id: str) -> None:
        """Remember a request whose image was indexed: a healthy engine accepts it again."""
        self._indexed = request_id

    async def check(self, request_ids: Sequence[str]) -> None:
        """Return if the engine accepts the image of one of these requests, or else the one that was indexed last.

        If none of the images exists, or the engine rejects them for their content, and none was indexed before, the
        check also succeeds: the tables could be read and the engine is prepared, and these events need no more.
        Raises DependencyUnavailable or Overloaded.
        """
        await self._engine.prepare()
        try:
            for request_id in request_ids:
                if await self._accepts(request_id):
                    return
        except (DependencyUnavailable, Overloaded):
            # A document that the engine does not accept while it accepts another must not stop the others.
            if await self.accepts_known_document():
                return
            raise
        if self._indexed is not None:
            await self._accepts(self._indexed)

    async def accepts_known_document(self) -> bool:
        """Return whether the engine accepts the document that was indexed last. False if there is none."""
        try:
            return self._indexed is not None and await self._accepts(self._indexed)
        except (DependencyUnavailable, Overloaded):
            return False

    async def _accepts(self, request_id: str) -> bool:
        """Write a request's document. Returns False if it says nothing about the engine's health.

        Raises DependencyUnavailable or Overloaded.
        """
        try:
            (found,) = await look_up(self._tables, [request_id])
            if not isinstance(found, SearchDocument):
                return False
            (result,) = await self._engine.write([found])
        except (DependencyUnavailable, Overloaded):
            raise
        except Exception as error:  # noqa: BLE001  an error in our code about this document, as in the indexer
            _log.warning(
                "health check skipped a document", request_id=request_id, error=repr(error)
            )
            return False
        if result.status is WriteStatus.UNAVAILABLE:
            raise SearchUnavailable(result.reason)
        return result.status is not WriteStatus.REJECTED
