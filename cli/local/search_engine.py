"""The search engine of a local system: a file of SQLite's for as long as the system runs, or what SEARCH_URL names."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

PREFIX = "imageservice-search-"


@asynccontextmanager
async def search_engine(environ: Mapping[str, str]) -> AsyncIterator[dict[str, str]]:
    """Its settings. The file is as short-lived as the embedded AWS that it is made of."""
    signed = environ.get("SEARCH_SIGNED", "false")
    if given := environ.get("SEARCH_URL"):
        yield {"SEARCH_URL": given, "SEARCH_SIGNED": signed}
        return
    folder = await asyncio.to_thread(tempfile.mkdtemp, prefix=PREFIX)
    try:
        yield {"SEARCH_URL": f"sqlite:///{folder}/search.db", "SEARCH_SIGNED": "false"}
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
