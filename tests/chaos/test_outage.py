"""AWS goes away for half a minute in the middle of the work."""

import asyncio
from collections import Counter

from aiohttp import web

from harness.aws import RecordingAws
from harness.aws_proxy import aws_proxy, cut, pass_on
from harness.origin import numbered_png, origin
from harness.stores import stores_of
from harness.system import system

IMAGES = 200
OUTAGE_S = 30


async def test_an_outage_fails_no_request_and_makes_none_a_suspect(
    embedded_aws: RecordingAws,
) -> None:
    """It is not the customer's fault, nor the picture's: none FAILED, none run alone afterwards."""
    async with (
        origin() as images,
        aws_proxy(embedded_aws.endpoint) as proxy,
        system(embedded_aws, endpoint=proxy.endpoint) as running,
        stores_of(running) as stores,
    ):
        middle = asyncio.Event()

        async def outage_begins(_request: web.Request) -> web.Response:
            proxy.hook = cut
            middle.set()
            return web.Response(body=numbered_png(-1), content_type="image/png")

        await running.start_server()
        ids = [await running.submit(images.picture(n)) for n in range(IMAGES)]
        images.serve(f"/n/{IMAGES // 2}", outage_begins)
        await running.start_consumer()
        await middle.wait()
        images.forget(f"/n/{IMAGES // 2}")
        # The length of the outage is what is tested; nothing waits for an event here.
        await asyncio.sleep(OUTAGE_S)
        proxy.hook = pass_on
        await running.wait_terminal(ids)
        rows = await stores.requests()
        assert Counter(row["status"]["S"] for row in rows) == {"COMPLETED": IMAGES}
        assert Counter(row["retryCount"]["N"] for row in rows) == {"0": IMAGES}
        await stores.prove_each_ended_once(ids)
