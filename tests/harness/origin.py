"""An origin that a test writes as it needs it: a handler for each path, and a count of hits."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from harness.pictures import png_chunk, png_with

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Origin:
    """`/n/<number>` is a small picture that is distinct for each number."""

    def __init__(self) -> None:
        self.base = ""
        self.hits: Counter[str] = Counter()
        self._handlers: dict[str, Handler] = {}
        self._let_go = asyncio.Event()

    def serve(self, path: str, handler: Handler) -> str:
        """Answer the URL at which `handler` now answers."""
        self._handlers[path] = handler
        return self.base + path

    def forget(self, path: str) -> None:
        """Undo `serve`."""
        del self._handlers[path]

    def serve_body(self, path: str, body: bytes, content_type: str = "image/png") -> str:
        async def answer(_request: web.Request) -> web.Response:
            return web.Response(body=body, content_type=content_type)

        return self.serve(path, answer)

    def hold(self, path: str) -> str:
        """A picture that is answered only after `let_go`."""

        async def answer(_request: web.Request) -> web.Response:
            await self._let_go.wait()
            return web.Response(body=numbered_png(0), content_type="image/png")

        return self.serve(path, answer)

    def let_go(self) -> None:
        self._let_go.set()

    def picture(self, number: int) -> str:
        return f"{self.base}/n/{number}"

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.hits[request.path] += 1
        handler = self._handlers.get(request.path)
        if handler is not None:
            return await handler(request)
        if request.path.startswith("/n/"):
            number = int(request.path.removeprefix("/n/"))
            return web.Response(body=numbered_png(number), content_type="image/png")
        return web.Response(status=404)


def numbered_png(number: int) -> bytes:
    """A small valid picture whose bytes differ for each number."""
    return png_with(png_chunk(b"tEXt", b"Comment\0" + str(number).encode()))


@asynccontextmanager
async def origin() -> AsyncIterator[Origin]:
    served = Origin()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", served.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    served.base = f"http://{host}:{port}"
    try:
        yield served
    finally:
        await runner.cleanup()
