"""The state that the handlers of the origin share, by the typed keys of aiohttp."""

import asyncio

from aiohttp import web

from core.lru_map import LruMap
from loadtest.origin.image_folder import ImageFolder

LIMIT = 10_000


class Counts:
    """Counts by name, for at most `limit` names: the one counted longest ago is dropped."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._counts = LruMap[str, int](limit)

    def add(self, name: str) -> int:
        """Count `name` and return its count."""
        count = (self._counts.get(name) or 0) + 1
        self._counts.put(name, count)
        return count

    def all(self) -> dict[str, int]:
        return dict(self._counts.items())


IMAGES = web.AppKey("images", ImageFolder)
HITS = web.AppKey("hits", Counts)
"""Requests by path, for tests."""

COUNTS = web.AppKey("counts", Counts)
"""Requests by behaviour and key, which decide when a behaviour changes."""

STOPPING = web.AppKey("stopping", asyncio.Event)
"""Set at shutdown, so that endless responses end."""
