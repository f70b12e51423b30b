"""The one origin of pictures for the demo, the tests and the load tests.

    /pictures/<name>                        a file of the folder, sub-folders too, with ETag and Last-Modified
    /generated/<n>.<png|jpg|webp|gif>       a small valid picture; each number has other bytes
    /behave/…                               good and bad manners, see `loadtest.origin_behaviours`
    /_hits                                  how often each path was asked for, as JSON

A request with `?key=K` is also counted as "<path>?key=K". Generated pictures are counted together, as "/generated".

    python -m loadtest.origin --pictures tests/images --port 0 --ready-file origin.json
"""

import argparse
import asyncio
import json
import os
import signal
import socket
import sys
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler

from loadtest import generated_pictures, origin_behaviours, origin_bodies
from loadtest.origin_counts import Counts
from loadtest.origin_state import COUNTS, HITS, PICTURES, STOPPING
from loadtest.picture_folder import PictureFolder, media_type

SHUTDOWN_SECONDS = 2.0


def create_app(pictures: Path) -> web.Application:
    """The origin over the files in `pictures`. Reads nothing before the first request."""
    app = web.Application(middlewares=[_count_hits, origin_bodies.ends_with_server])
    app[PICTURES] = PictureFolder(pictures)
    app[HITS] = Counts()
    app[COUNTS] = Counts()
    app[STOPPING] = asyncio.Event()
    app.on_shutdown.append(_stop)
    app.router.add_get("/_hits", _hits)
    app.router.add_get("/pictures/{name:.+}", _picture)
    app.router.add_get(r"/generated/{number:\d{1,18}}.{extension}", _generated)
    app.router.add_routes(origin_behaviours.ROUTES)
    return app


async def _stop(app: web.Application) -> None:
    app[STOPPING].set()


@web.middleware
async def _count_hits(request: web.Request, handler: Handler) -> web.StreamResponse:
    if not request.path.startswith("/_"):
        path = "/generated" if request.path.startswith("/generated/") else request.path
        request.app[HITS].add(path)
        if "key" in request.query:
            request.app[HITS].add(f"{path}?key={request.query['key']}")
    return await handler(request)


async def _hits(request: web.Request) -> web.Response:
    return web.json_response(request.app[HITS].all())


async def _picture(request: web.Request) -> web.StreamResponse:
    name = request.match_info["name"]
    path = await request.app[PICTURES].find(name)
    if path is None:
        raise web.HTTPNotFound
    return web.FileResponse(path, headers={"Content-Type": media_type(name)})


async def _generated(request: web.Request) -> web.Response:
    extension = request.match_info["extension"]
    content_type = generated_pictures.media_type(extension)
    if content_type is None:
        raise web.HTTPNotFound
    number = int(request.match_info["number"])
    return web.Response(
        body=generated_pictures.picture(number, extension),
        content_type=content_type,
        headers={"ETag": f'"generated-{number}-{extension}"'},
    )


async def serve(pictures: Path, host: str, port: int, ready_file: Path | None) -> None:
    """Serve until SIGINT or SIGTERM. `ready_file` gets {"url", "pid"} once the port is open."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runner = web.AppRunner(
        create_app(pictures),
        access_log=None,
        handler_cancellation=True,
        shutdown_timeout=SHUTDOWN_SECONDS,
    )
    await runner.setup()
    try:
        opened = socket.create_server((host, port), backlog=1_024)
        await web.SockSite(runner, opened).start()
        url = f"http://{host}:{opened.getsockname()[1]}"
        if ready_file is not None:
            await asyncio.to_thread(_write_atomically, ready_file, {"url": url, "pid": os.getpid()})
        sys.stdout.write(f"serving {pictures} at {url}\n")
        sys.stdout.flush()
        await stop.wait()
    finally:
        await runner.cleanup()


def _write_atomically(path: Path, content: dict[str, str | int]) -> None:
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    partial.write_text(json.dumps(content) + "\n")
    partial.replace(path)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m loadtest.origin", description="Serve pictures."
    )
    parser.add_argument("--pictures", type=Path, default=Path("tests/images"), help="folder")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--ready-file", type=Path, help="gets the address as JSON once it serves")
    given = parser.parse_args()
    asyncio.run(serve(given.pictures, given.host, given.port, given.ready_file))


if __name__ == "__main__":
    main()
