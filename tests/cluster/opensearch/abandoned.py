"""A rebuild that is killed: `python abandoned.py URL ALIAS [STEP]` begins one, writes a document, and tells so.

Then it stays; with STEP it waits for a line, finishes, and kills itself like kill -9 when it has made so many calls.
"""

import asyncio
import os
import signal
import sys
from typing import Any

from core.search.engine import open_writer
from core.search.opensearch.client import OpenSearchClient
from harness.search_documents import document
from harness.search_engines import settings_for


def kill_after(calls: int) -> None:
    left = calls
    call = OpenSearchClient.call

    async def counted(client: OpenSearchClient, *arguments: Any, **options: Any) -> Any:
        nonlocal left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
        return await call(client, *arguments, **options)

    setattr(OpenSearchClient, "call", counted)  # noqa: B010  a method is not assigned to otherwise


async def main(url: str, alias: str, *step: str) -> None:
    writer = open_writer(settings_for(url, alias))
    async with writer.rebuild() as rebuild:
        await rebuild.write([document(image_id="of the killed")])
        sys.stdout.write("building\n")
        sys.stdout.flush()
        if not step:
            await asyncio.Event().wait()
        await asyncio.to_thread(sys.stdin.readline)
        kill_after(int(*step))
        await rebuild.finish()
    await writer.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
