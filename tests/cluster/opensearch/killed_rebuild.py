"""A rebuild that is killed: `python killed_rebuild.py URL ALIAS [STEP]` begins a rebuild and writes a document.

It prints "building" and waits to be killed. With STEP it waits for a line, calls `finish`, and kills itself with
SIGKILL after STEP calls.
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
    remaining = calls
    call = OpenSearchClient.call

    async def counted(client: OpenSearchClient, *arguments: Any, **options: Any) -> Any:
        nonlocal remaining
        if remaining == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        remaining -= 1
        return await call(client, *arguments, **options)

    setattr(OpenSearchClient, "call", counted)  # noqa: B010  mypy refuses an assignment to a method


async def main(url: str, alias: str, *step: str) -> None:
    writer = open_writer(settings_for(url, alias))
    async with writer.rebuild() as rebuild:
        await rebuild.write([document(image_id="of the killed rebuild")])
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
