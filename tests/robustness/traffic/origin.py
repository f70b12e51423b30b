"""The origin of the images: it behaves as the path says, and counts the requests for each key."""

import asyncio
import zlib
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from aiohttp import web

from loadtest.origin.generated_images import media_type
from robustness.traffic.plan import Behaviour, Content, image

_SLOWEST_MS = 2_000


class ImageOrigin:
    """Serves `/<behaviour>/<image>/<key>`."""

    def __init__(self) -> None:
        self.port = 0
        self.fetches: Counter[str] = Counter()

    def url(self, content: Content) -> str:
        return f"http://127.0.0.1:{self.port}{content.path}"

    async def handle(self, request: web.Request) -> web.StreamResponse:
        behaviour, number, key = (
            request.match_info[part] for part in ("behaviour", "image", "key")
        )
        self.fetches[key] += 1
        body, extension = image(int(number))
        first = self.fetches[key] == 1
        match behaviour:
            case Behaviour.MISSING:
                return web.Response(status=404)
            case Behaviour.FLAKY if first:
                return web.Response(status=503)
            case Behaviour.BROKEN_ONCE if first:
                return _reset(request)
            case Behaviour.TRUNCATED:
                body = body[: len(body) * 2 // 3]
            case Behaviour.CUT:
                return await _cut(request, body)
            case Behaviour.SLOW:
                await asyncio.sleep(1 + zlib.crc32(key.encode()) % _SLOWEST_MS / 1_000)
        return web.Response(body=body, content_type=str(media_type(extension)))


def _reset(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=503)


async def _cut(request: web.Request, body: bytes) -> web.StreamResponse:
    """Announce the whole body, send half of it, and close the connection."""
    response = web.StreamResponse(headers={"Content-Length": str(len(body))})
    with suppress(ConnectionError):  # The consumer may have been killed.
        await response.prepare(request)
        await response.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return response


@asynccontextmanager
async def image_origin() -> AsyncIterator[ImageOrigin]:
    """Serve on a free port of 127.0.0.1."""
    served = ImageOrigin()
    app = web.Application()
    app.router.add_get("/{behaviour}/{image}/{key}", served.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        served.port = runner.addresses[0][1]
        yield served
    finally:
        await runner.cleanup()
