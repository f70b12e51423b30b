"""A rebuild that is killed: `python abandoned.py URL ALIAS` begins one, writes a document, tells so, and stays."""

import asyncio
import sys

from core.search.engine import open_writer
from harness.search_documents import document
from harness.search_engines import settings_for


async def main(url: str, alias: str) -> None:
    writer = open_writer(settings_for(url, alias))
    async with writer.rebuild() as rebuild:
        await rebuild.write([document(image_id="of the killed")])
        sys.stdout.write("building\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
