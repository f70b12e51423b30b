"""The one origin of pictures for the demo, the tests and the load tests.

    /pictures/<name>                        a file of the folder, sub-folders too, with ETag and Last-Modified
    /generated/<n>.<png|jpg|webp|gif>       a small valid picture; each number has other bytes
    /behave/…                               good and bad manners, see `loadtest.origin.behaviours`
    /_hits                                  how often each path was asked for, as JSON

A request with `?key=K` is also counted as "<path>?key=K". Generated pictures are counted together, as "/generated".
"""

import asyncio
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler

from loadtest.origin import behaviours, bodies, generated_pictures
from loadtest.origin.counts import Counts
from loadtest.origin.picture_folder import PictureFolder, media_type
from loadtest.origin.state import COUNTS, HITS, PICTURES, STOPPING


def create_app(pictures: Path) -> web.Application:
    """The origin over the files in `pictures`. Reads nothing before the first request."""
    app = web.Application(middlewares=[_count_hits, bodies.ends_with_server])
    app[PICTURES] = PictureFolder(pictures)
    app[HITS] = Counts()
    app[COUNTS] = Counts()
    app[STOPPING] = asyncio.Event()
    app.on_shutdown.append(_stop)
    app.router.add_get("/_hits", _hits)
    app.router.add_get("/pictures/{name:.+}", _picture)
    app.router.add_get(r"/generated/{number:\d{1,18}}.{extension}", _generated)
    app.router.add_routes(behaviours.ROUTES)
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
