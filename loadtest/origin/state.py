"""What the origin's handlers share, by aiohttp's typed keys."""

import asyncio

from aiohttp import web

from loadtest.origin.counts import Counts
from loadtest.origin.picture_folder import PictureFolder

PICTURES = web.AppKey("pictures", PictureFolder)
HITS = web.AppKey("hits", Counts)
"""By path, for tests to look at."""

COUNTS = web.AppKey("counts", Counts)
"""By behaviour and key: what decides when a behaviour changes."""

STOPPING = web.AppKey("stopping", asyncio.Event)
"""Set when the server shuts down, so that answers without an end have one."""
