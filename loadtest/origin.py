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
import ipaddress
import json
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import uvloop
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


async def serve(pictures: Path, hosts: Sequence[str], port: int, ready_file: Path | None) -> None:
    """Serve until SIGINT or SIGTERM. `ready_file` gets {"url", "urls", "pid"} once the port is open.

    The port is the same on all hosts; the first of them is the one in "url".
    """
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
        urls = []
        for host in hosts:
            opened = socket.create_server((host, port), backlog=1_024)
            port = opened.getsockname()[1]
            await web.SockSite(runner, opened).start()
            urls.append(f"http://{host}:{port}")
        if ready_file is not None:
            ready = {"url": urls[0], "urls": urls, "pid": os.getpid()}
            await asyncio.to_thread(_write_atomically, ready_file, ready)
        sys.stdout.write(f"serving {pictures} at {urls[0]}\n")
        sys.stdout.flush()
        await stop.wait()
    finally:
        await runner.cleanup()


def _write_atomically(path: Path, content: Mapping[str, object]) -> None:
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    partial.write_text(json.dumps(content) + "\n")
    partial.replace(path)


def counted_up(host: str, count: int) -> tuple[str, ...]:
    """So many addresses from `host` on, which must be a literal if there is more than one.

    Consumers limit what they ask of one host at a time; a load test needs several. Linux answers on all of 127.0.0.0/8.
    """
    if count == 1:
        return (host,)
    first = ipaddress.ip_address(host)
    return tuple(str(first + number) for number in range(count))


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m loadtest.origin", description="Serve pictures."
    )
    parser.add_argument("--pictures", type=Path, default=Path("tests/images"), help="folder")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument(
        "--hosts", type=int, default=1, help="addresses to serve on, counted up from --host"
    )
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--ready-file", type=Path, help="gets the address as JSON once it serves")
    given = parser.parse_args()
    hosts = counted_up(given.host, given.hosts)
    uvloop.run(serve(given.pictures, hosts, given.port, given.ready_file))


if __name__ == "__main__":
    main()
