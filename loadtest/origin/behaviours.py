"""The behaviours of the origin under /behave/. `?picture=NAME` selects the image; without it, one is generated.

    status/<code>                                       that status, without an image
    retry-after/<code>/<seconds>?key=K[&times=N]        N times (1) the code with Retry-After, then the image
    flaky?key=K[&times=N]                               N times (1) 503, then the image
    redirect?to=URL[&status=302]                        one redirect
    redirect-chain/<n>                                  n redirects, then the image
    redirect-loop                                       a redirect to itself
    changing?key=K                                      another image each time
    gzip                                                the image with Content-Encoding: gzip, even if not accepted
    latency?ms=N                                        the image after N milliseconds
    and the bodies of `loadtest.origin.faulty_bodies`

`key` separates the counts of independent tests.
"""

import asyncio
import gzip
from pathlib import PurePosixPath

from aiohttp import web

from loadtest.origin import faulty_bodies, generated_images
from loadtest.origin.state import COUNTS

MAX_LATENCY_S = 600.0

ROUTES = web.RouteTableDef()


async def _image(request: web.Request) -> web.Response:
    body, content_type = await faulty_bodies.read_image(request)
    return web.Response(body=body, content_type=content_type)


def _earlier_requests(request: web.Request) -> int:
    key = request.query.get("key", "")
    return request.app[COUNTS].add(f"{request.path}?key={key}") - 1


def _number(request: web.Request, name: str, default: int) -> int:
    return faulty_bodies.whole_number(request.query.get(name, str(default)))


@ROUTES.get(r"/behave/status/{code:[2-5]\d\d}")
async def _status(request: web.Request) -> web.Response:
    return web.Response(status=int(request.match_info["code"]))


@ROUTES.get(r"/behave/retry-after/{code:[45]\d\d}/{seconds:\d+}")
async def _retry_after(request: web.Request) -> web.Response:
    if _earlier_requests(request) < _number(request, "times", 1):
        wait = {"Retry-After": request.match_info["seconds"]}
        return web.Response(status=int(request.match_info["code"]), headers=wait)
    return await _image(request)


@ROUTES.get("/behave/flaky")
async def _flaky(request: web.Request) -> web.Response:
    if _earlier_requests(request) < _number(request, "times", 1):
        return web.Response(status=503)
    return await _image(request)


@ROUTES.get("/behave/redirect")
async def _redirect(request: web.Request) -> web.Response:
    if "to" not in request.query:
        raise web.HTTPBadRequest(text="redirect needs ?to=URL")
    # The redirect exceptions of aiohttp would normalise the target, and tests use unusual targets.
    target = {"Location": request.query["to"]}
    return web.Response(status=_number(request, "status", 302), headers=target)


@ROUTES.get(r"/behave/redirect-chain/{left:\d+}")
async def _redirect_chain(request: web.Request) -> web.Response:
    left = int(request.match_info["left"])
    if left == 0:
        return await _image(request)
    target = request.rel_url.with_path(f"/behave/redirect-chain/{left - 1}", keep_query=True)
    return web.Response(status=302, headers={"Location": str(target)})


@ROUTES.get("/behave/redirect-loop")
async def _redirect_loop(request: web.Request) -> web.Response:
    return web.Response(status=302, headers={"Location": str(request.rel_url)})


@ROUTES.get("/behave/changing")
async def _changing(request: web.Request) -> web.Response:
    body = generated_images.image_body(_earlier_requests(request), "png")
    return web.Response(body=body, content_type="image/png")


@ROUTES.get("/behave/gzip")
async def _gzip(request: web.Request) -> web.Response:
    body, content_type = await faulty_bodies.read_image(request)
    coding = {"Content-Encoding": "gzip"}
    return web.Response(body=gzip.compress(body), content_type=content_type, headers=coding)


@ROUTES.get("/behave/latency")
async def _latency(request: web.Request) -> web.Response:
    await asyncio.sleep(min(_number(request, "ms", 0) / 1_000, MAX_LATENCY_S))
    return await _image(request)


for _name, _body in faulty_bodies.BODIES.items():
    ROUTES.get(str(PurePosixPath("/behave") / _name))(_body)
