"""The origin's manners, under /behave/. Every picture is chosen by `?picture=NAME`, and generated without it.

    status/<code>                                       that status, no picture
    retry-after/<code>/<seconds>?key=K[&times=N]        N times (1) the code with Retry-After, then the picture
    flaky?key=K[&times=N]                               N times (1) 503, then the picture
    redirect?to=URL[&status=302]                        one redirect
    redirect-chain/<n>                                  n redirects, then the picture
    redirect-loop                                       to itself
    changing?key=K                                      another picture (another body) each time
    gzip                                                the picture under Content-Encoding: gzip, asked for or not
    latency?ms=N                                        the picture, N milliseconds late
    and the bodies of `loadtest.origin.bodies`

`key` keeps the counts of independent tests apart.
"""

import asyncio
import gzip
from pathlib import PurePosixPath

from aiohttp import web

from loadtest.origin import bodies, generated_pictures
from loadtest.origin.state import COUNTS

MAXIMUM_LATENCY_SECONDS = 600.0

ROUTES = web.RouteTableDef()


async def _picture(request: web.Request) -> web.Response:
    body, content_type = await bodies.picture(request)
    return web.Response(body=body, content_type=content_type)


def _seen_before(request: web.Request) -> int:
    key = request.query.get("key", "")
    return request.app[COUNTS].add(f"{request.path}?key={key}") - 1


def _number(request: web.Request, name: str, default: int) -> int:
    return bodies.whole_number(request.query.get(name, str(default)))


@ROUTES.get(r"/behave/status/{code:[2-5]\d\d}")
async def _status(request: web.Request) -> web.Response:
    return web.Response(status=int(request.match_info["code"]))


@ROUTES.get(r"/behave/retry-after/{code:[45]\d\d}/{seconds:\d+}")
async def _retry_after(request: web.Request) -> web.Response:
    if _seen_before(request) < _number(request, "times", 1):
        wait = {"Retry-After": request.match_info["seconds"]}
        return web.Response(status=int(request.match_info["code"]), headers=wait)
    return await _picture(request)


@ROUTES.get("/behave/flaky")
async def _flaky(request: web.Request) -> web.Response:
    if _seen_before(request) < _number(request, "times", 1):
        return web.Response(status=503)
    return await _picture(request)


@ROUTES.get("/behave/redirect")
async def _redirect(request: web.Request) -> web.Response:
    if "to" not in request.query:
        raise web.HTTPBadRequest(text="redirect needs ?to=URL")
    # Set by hand: aiohttp's own redirect exceptions normalise the target, and odd targets are tested.
    target = {"Location": request.query["to"]}
    return web.Response(status=_number(request, "status", 302), headers=target)


@ROUTES.get(r"/behave/redirect-chain/{left:\d+}")
async def _redirect_chain(request: web.Request) -> web.Response:
    left = int(request.match_info["left"])
    if left == 0:
        return await _picture(request)
    target = request.rel_url.with_path(f"/behave/redirect-chain/{left - 1}", keep_query=True)
    return web.Response(status=302, headers={"Location": str(target)})


@ROUTES.get("/behave/redirect-loop")
async def _redirect_loop(request: web.Request) -> web.Response:
    return web.Response(status=302, headers={"Location": str(request.rel_url)})


@ROUTES.get("/behave/changing")
async def _changing(request: web.Request) -> web.Response:
    body = generated_pictures.picture(_seen_before(request), "png")
    return web.Response(body=body, content_type="image/png")


@ROUTES.get("/behave/gzip")
async def _gzip(request: web.Request) -> web.Response:
    body, content_type = await bodies.picture(request)
    coding = {"Content-Encoding": "gzip"}
    return web.Response(body=gzip.compress(body), content_type=content_type, headers=coding)


@ROUTES.get("/behave/latency")
async def _latency(request: web.Request) -> web.Response:
    await asyncio.sleep(min(_number(request, "ms", 0) / 1_000, MAXIMUM_LATENCY_SECONDS))
    return await _picture(request)


for _name, _body in bodies.BODIES.items():
    ROUTES.get(str(PurePosixPath("/behave") / _name))(_body)
