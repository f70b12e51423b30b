"""The HTTP origin of the tests. A test adds a handler for each path that it needs.

Three kinds of path need no handler: `/n/<number>`, a small image whose bytes differ for each number;
the paths of `loadtest.origin.app`, such as `/pictures/astronaut.png` and `/behave/hang`; and `/bodies/<name>`
for the bodies that a test passes.
"""

import asyncio
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web
from multidict import CIMultiDictProxy

from harness.images import png_chunk, png_with
from loadtest.origin.app import create_app

SAMPLE_FOLDER = Path(__file__).parents[1] / "images"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Origin:
    """Counts and records the requests for paths that are not loadtest's."""

    def __init__(self) -> None:
        self.port = 0
        self.routes: dict[str, Handler] = {}
        self.hits: Counter[str] = Counter()
        self.requests: list[tuple[str, CIMultiDictProxy[str]]] = []
        """Path with query, and headers."""
        self._released = asyncio.Event()

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    def image_url(self, number: int) -> str:
        return f"{self.base}/n/{number}"

    def serve(self, path: str, handler: Handler) -> str:
        """Return the URL at which `handler` now answers."""
        self.routes[path] = handler
        return self.base + path

    def forget(self, path: str) -> None:
        """Undo `serve`."""
        del self.routes[path]

    def serve_body(self, path: str, body: bytes, content_type: str = "image/png") -> str:
        """Return the URL at which `body` is now served."""
        return self.serve(path, reply_with(body=body, headers={"Content-Type": content_type}))

    def hold(self, path: str) -> str:
        """Return the URL of an image that is answered only after `release`."""

        async def answer(_request: web.Request) -> web.Response:
            await self._released.wait()
            return web.Response(body=numbered_png(0), content_type="image/png")

        return self.serve(path, answer)

    def release(self) -> None:
        self._released.set()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.hits[request.path] += 1
        self.requests.append((request.path_qs, request.headers))
        handler = self.routes.get(request.path)
        if handler is not None:
            return await handler(request)
        if request.path.startswith("/n/"):
            number = int(request.path.removeprefix("/n/"))
            return web.Response(body=numbered_png(number), content_type="image/png")
        return web.Response(status=404)


def numbered_png(number: int) -> bytes:
    """A small valid image whose bytes differ for each number."""
    return png_with(png_chunk(b"tEXt", b"Comment\0" + str(number).encode()))


def reply_with(
    *, status: int = 200, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> Handler:
    """Return a handler that sends the same response to every request."""

    async def reply(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, body=body, headers=headers)

    return reply


def redirect_to(location: str, status: int = 302) -> Handler:
    return reply_with(status=status, headers={"Location": location})


@asynccontextmanager
async def origin(
    bodies: Mapping[str, bytes] | None = None, *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Origin]:
    """Serve on a free port of 127.0.0.1. Each of `bodies` is at /bodies/<name>, without a media type."""
    served = Origin()
    for name, body in (bodies or {}).items():
        served.serve_body(f"/bodies/{name}", body, "application/octet-stream")
    app = create_app(SAMPLE_FOLDER)
    app.router.add_route("*", "/{path:.*}", served.handle)
    # The longest URL has 8,190 bytes, and three times as many if each is escaped.
    runner = web.AppRunner(app, shutdown_timeout=0.1, max_line_size=32_768)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        served.port = runner.addresses[0][1]
        yield served
    finally:
        await runner.cleanup()
