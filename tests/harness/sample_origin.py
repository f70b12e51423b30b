"""loadtest's origin, in this process, over the sample pictures and what a test adds."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from loadtest.origin.app import create_app

PICTURES = Path(__file__).parents[1] / "images"


@asynccontextmanager
async def sample_origin(bodies: dict[str, bytes] | None = None) -> AsyncIterator[str]:
    """Answer its base URL; each of `bodies` is served at /bodies/<name>."""
    app = create_app(PICTURES)

    async def body(request: web.Request) -> web.Response:
        return web.Response(body=(bodies or {})[request.match_info["name"]])

    app.router.add_get("/bodies/{name}", body)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    try:
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()
