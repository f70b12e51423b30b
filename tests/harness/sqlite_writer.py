"""A process that writes into an index without end, to be killed: `python -m harness.sqlite_writer write|rebuild URL`.

It prints a line for each batch that it has written. Each batch is one customer's BATCH documents.
"""

import asyncio
import itertools
import sys
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from core.search.engine import Rebuild, SearchWriter
from harness.search_documents import document
from harness.search_engines import open_engine, settings_for

BATCH = 20


async def main(arguments: Sequence[str]) -> None:
    command, url = arguments
    async with (
        open_engine(settings_for(url, "killed")) as engine,
        _target(engine.writer, command) as target,
    ):
        for number in itertools.count():
            # New ids, because several such processes may write to one index.
            await target.write(
                [
                    document(customer_id=f"customer-{number}", image_id=str(uuid.uuid4()))
                    for _ in range(BATCH)
                ]
            )
            print(number, flush=True)  # noqa: T201


@asynccontextmanager
async def _target(writer: SearchWriter, command: str) -> AsyncIterator[SearchWriter | Rebuild]:
    if command == "write":
        yield writer
        return
    async with writer.rebuild() as rebuild:
        yield rebuild


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
