"""The result of every kind of origin and image, through the whole system."""

import asyncio
from dataclasses import dataclass

from core.errors import FailureCode
from harness.aws import RecordingAws
from harness.grpc_client import outcome_name
from harness.images import bomb_png, html, sample, svg, truncated
from harness.origin import SAMPLE_FOLDER, origin
from harness.reserved_port import closed_port
from harness.system import System, system

SAMPLES = sorted(path.name for path in SAMPLE_FOLDER.glob("*.*") if path.suffix != ".md")
CUT = {
    f"cut.{extension}": truncated(sample(name), 0.7)
    for extension, name in {
        "jpg": "rocket-progressive.jpg",
        "png": "astronaut.png",
        "gif": "rocket-animated.gif",
        "webp": "coffee.webp",
        "tiff": "flower.tiff",
    }.items()
}
BODIES = {
    **CUT,
    "bomb.png": bomb_png(),
    "drawing.svg": svg(),
    "page.jpg": html(),
}


@dataclass(frozen=True, slots=True)
class Expected:
    """`code` is None if the image is published."""

    path: str
    code: FailureCode | None
    attempts: int = 1


ORIGINS = [
    *(Expected(f"/bodies/{name}", FailureCode.CORRUPT_IMAGE) for name in CUT),
    Expected("/bodies/bomb.png", FailureCode.TOO_MANY_PIXELS),
    Expected("/bodies/drawing.svg", FailureCode.UNSUPPORTED_FORMAT),
    Expected("/bodies/page.jpg", FailureCode.NOT_AN_IMAGE),
    Expected("/behave/oversized?bytes=3000000", FailureCode.TOO_LARGE),
    Expected("/behave/oversized?bytes=3000000&chunked=1", FailureCode.TOO_LARGE),
    Expected("/behave/endless", FailureCode.TOO_LARGE),
    Expected("/behave/redirect-loop", FailureCode.TOO_MANY_REDIRECTS),
    Expected("/behave/redirect?to=ftp://127.0.0.1/", FailureCode.BAD_REDIRECT),
    Expected("/behave/redirect?to=http://169.254.169.254/", FailureCode.BLOCKED_ADDRESS),
    Expected("/behave/status/404", FailureCode.NOT_FOUND),
    Expected("/behave/status/403", FailureCode.ORIGIN_REFUSED),
    Expected("/behave/status/500", FailureCode.ORIGIN_ERROR, attempts=3),
    Expected("/behave/gzip", None),
    Expected("/behave/reset", FailureCode.BAD_RESPONSE, attempts=3),
    Expected("/behave/short", FailureCode.BAD_RESPONSE, attempts=3),
    Expected("/behave/retry-after/429/1?key=short", None),
    Expected("/behave/retry-after/429/3?key=long", None),
    Expected("/behave/flaky?key=flaky", None),
    Expected("/behave/redirect-chain/3", None),
    Expected("/behave/changing?key=changing", None),
    *(Expected(f"/pictures/{name}", None) for name in SAMPLES),
]
ENDLESS = [
    Expected("/behave/slow-drip?rate=100", FailureCode.TOO_SLOW, attempts=2),
    Expected("/behave/hang", FailureCode.TIMEOUT, attempts=2),
]


async def test_each_origin_and_image_has_the_result_of_the_reference(running: System) -> None:
    """All at the same time: a bad origin must not delay a good one."""
    await all_end_as_expected(running, ORIGINS)


async def test_an_endless_response_times_out(embedded_aws: RecordingAws) -> None:
    """With short limits, which a good origin might exceed on a busy machine."""
    async with system(embedded_aws) as running:
        await running.start_server()
        await running.start_consumer(MIN_RATE_WINDOW_S="0.3", TOTAL_TIMEOUT_S="3", MAX_ATTEMPTS="2")
        await all_end_as_expected(running, ENDLESS)


async def all_end_as_expected(running: System, origins: list[Expected]) -> None:
    async with origin(BODIES) as images:
        ids = await asyncio.gather(*(running.submit(images.base + each.path) for each in origins))
        states = await running.wait_terminal(ids)
    ended = {
        each.path: (outcome_name(states[request_id]), states[request_id].failure.attempts)
        for each, request_id in zip(origins, ids, strict=True)
    }
    assert ended == {
        each.path: (each.code or "COMPLETED", each.attempts if each.code else 0) for each in origins
    }


async def test_an_origin_that_refuses_connections_has_three_attempts(running: System) -> None:
    """No process listens there now; one may listen later."""
    with closed_port() as port:
        request_id = await running.submit(f"http://127.0.0.1:{port}/picture.png")
        ended = (await running.wait_terminal([request_id]))[request_id]
    assert (outcome_name(ended), ended.failure.attempts) == (FailureCode.CONNECT_FAILED, 3)
