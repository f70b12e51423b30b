"""Whether the tables and the engine do what events need, asked without receiving one: each receive counts."""

from collections.abc import Sequence

import structlog

from consumer.indexer.lookup import look_up
from core.dynamodb.tables import Tables
from core.errors import DependencyUnavailable, Overloaded, SearchUnavailable
from core.search.document import SearchDocument
from core.search.engine import SearchWriter, WriteStatus

_log = structlog.get_logger()


class Probe:
    """Reads and writes again what is told of already, which does no harm."""

    def __init__(self, tables: Tables, engine: SearchWriter) -> None:
        self._tables = tables
        self._engine = engine
        self._good: str | None = None

    def remember(self, request_id: str) -> None:
        """The image of this request was taken: a well engine takes it again."""
        self._good = request_id

    async def ask(self, request_ids: Sequence[str]) -> None:
        """Return if one of these requests is indexed, or else one that was before.

        Where none of them tells, because their images are gone or refused, and none was indexed before, they could be
        read and the engine is prepared: that is all that their events need. Raises DependencyUnavailable or Overloaded.
        """
        await self._engine.prepare()
        try:
            for request_id in request_ids:
                if await self._taken(request_id):
                    return
        except (DependencyUnavailable, Overloaded):
            # What is not taken while another is must not keep the others from the index.
            if await self.takes_another():
                return
            raise
        if self._good is not None:
            await self._taken(self._good)

    async def takes_another(self) -> bool:
        """Whether what was taken before is taken now. False where nothing was."""
        try:
            return self._good is not None and await self._taken(self._good)
        except (DependencyUnavailable, Overloaded):
            return False

    async def _taken(self, request_id: str) -> bool:
        """False where this one does not tell how the engine is. Raises DependencyUnavailable or Overloaded."""
        try:
            (looked,) = await look_up(self._tables, [request_id])
            if not isinstance(looked, SearchDocument):
                return False
            (written,) = await self._engine.write([looked])
        except (DependencyUnavailable, Overloaded):
            raise
        except Exception as error:  # noqa: BLE001  a fault of ours with this one, as the indexer meets it
            _log.warning("not fit to be tried", request_id=request_id, error=repr(error))
            return False
        if written.status is WriteStatus.UNAVAILABLE:
            raise SearchUnavailable(written.reason)
        return written.status is not WriteStatus.REJECTED
