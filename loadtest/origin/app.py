"""The HTTP origin of images for the demo, the tests and the load tests.

    /pictures/<name>                        a file of the folder or a sub-folder, with ETag and Last-Modified
    /generated/<n>.<png|jpg|webp|gif>       a small valid image; each number has distinct bytes
    /behave/…                               correct and faulty behaviour, see `loadtest.origin.behaviours`
    /_hits                                  the number of requests by path, as JSON

A request with `?key=K` also counts as "<path>?key=K". All generated images count as "/generated".
"""

import asyncio
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler

from loadtest.origin import behaviours, faulty_bodies, generated_images
from loadtest.origin.image_folder import ImageFolder, media_type
from loadtest.origin.state import COUNTS, HITS, IMAGES, STOPPING, Counts


def create_app(images: Path) -> web.Application:
    """Create the origin for the files in `images`. Reads no file before the first request."""
    app = web.Application(middlewares=[_count_hits, faulty_bodies.abort_at_shutdown])
    app[IMAGES] = ImageFolder(images)
    app[HITS] = Counts()
    app[COUNTS] = Counts()
    app[STOPPING] = asyncio.Event()
    app.on_shutdown.append(_stop)
    app.router.add_get("/_hits", _hits)
    app.router.add_get("/pictures/{name:.+}", _image)
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


async def _image(request: web.Request) -> web.StreamResponse:
    name = request.match_info["name"]
    path = await request.app[IMAGES].find(name)
    if path is None:
        raise web.HTTPNotFound
    return web.FileResponse(path, headers={"Content-Type": media_type(name)})


async def _generated(request: web.Request) -> web.Response:
    extension = request.match_info["extension"]
    content_type = generated_images.media_type(extension)
    if content_type is None:
        raise web.HTTPNotFound
    number = int(request.match_info["number"])
    return web.Response(
        body=generated_images.image_body(number, extension),
        content_type=content_type,
        headers={"ETag": f'"generated-{number}-{extension}"'},
    )
