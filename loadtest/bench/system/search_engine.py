"""The OpenSearch under a benchmark: that of SEARCH_URL, or one of the benchmark's own."""

import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import core
from loadtest.bench.system.process import BenchFailed, ready_file, running

_TESTS = str(Path(core.__file__).parents[1] / "tests")
"""Of the clone: what starts a real OpenSearch is at home there."""
_STARTER = "cluster.readside"


@asynccontextmanager
async def search_engine(heap: str) -> AsyncIterator[str]:
    """Its URL. `heap` is that of its own, as Java writes it. Raises BenchFailed."""
    given = os.environ.get("SEARCH_URL", "")
    if given:
        if not given.startswith("http"):
            raise BenchFailed(f"SEARCH_URL must be an OpenSearch's, not {given}")
        yield given
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ready.json"
        environment = {"PYTHONPATH": _TESTS}
        arguments = ("--ready-file", str(path), "--heap", heap)
        async with running(_STARTER, *arguments, environment=environment) as process:
            url: str = (await ready_file(process, path))["url"]
            yield url
