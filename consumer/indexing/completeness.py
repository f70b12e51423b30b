"""Whether the index has all that was there before it, told again and again: another process makes it whole."""

import asyncio
from contextlib import suppress

from consumer.indexing.metrics import INCOMPLETE
from core.errors import DependencyUnavailable
from core.search.engine import SearchWriter

EVERY_S = 10.0
"""About as often as anybody scrapes; a look costs an engine a question about names."""


async def watch(engine: SearchWriter, *, every: float = EVERY_S) -> None:
    """Without end. `every` is in seconds."""
    while True:
        # The indexer needs the same engine, and says so where it is down. Until it answers, what was known holds.
        with suppress(DependencyUnavailable):
            INCOMPLETE.set(await engine.incomplete())
        await asyncio.sleep(every)
