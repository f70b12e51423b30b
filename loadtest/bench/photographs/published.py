"""A running origin of photographs, as a benchmark sees it."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from loadtest.bench.photographs.collection import Kind, photographs
from loadtest.bench.photographs.origin import HOSTS
from loadtest.bench.system.process import ready_file, running


@dataclass(frozen=True, slots=True)
class Published:
    port: int

    def urls(self, count: int) -> list[str]:
        """One for each of so many photographs, over all hosts."""
        return [
            f"http://{HOSTS[number % len(HOSTS)]}:{self.port}/{number}.jpg"
            for number in range(count)
        ]

    async def admit(self, count: int) -> None:
        """Let a gated origin answer so many more requests."""
        await self._ask("POST", f"/_admit?{count}")

    async def served(self) -> int:
        return await self._ask("GET", "/_served")

    async def _ask(self, method: str, target: str) -> int:
        url = f"http://{HOSTS[0]}:{self.port}{target}"
        async with aiohttp.request(method, url) as response:
            served: int = (await response.json())["served"]
            return served


@asynccontextmanager
async def published(kind: Kind, *, gated: bool, delay_ms: int = 0) -> AsyncIterator[Published]:
    """The photographs of a kind, made if they are not there yet, behind an origin of their own."""
    folder = await asyncio.to_thread(photographs, kind)
    with tempfile.TemporaryDirectory() as temporary:
        ready = Path(temporary) / "ready.json"
        arguments = ["--folder", str(folder), "--ready-file", str(ready)]
        arguments += ["--delay-ms", str(delay_ms)]
        if gated:
            arguments.append("--gated")
        async with running("loadtest.bench.photographs.origin", *arguments) as process:
            yield Published((await ready_file(process, ready))["port"])
