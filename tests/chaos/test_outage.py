"""An outage of AWS in the middle of the work."""

import asyncio
from collections import Counter

from aiohttp import web

from harness.aws import RecordingAws
from harness.aws_proxy import Outage, aws_proxy, pass_on
from harness.metrics import MetricsPort
from harness.origin import numbered_png, origin
from harness.stores import stores_of
from harness.system import system
from harness.waiting import wait_for

IMAGES = 100
SENDS = 9
"""Calls of SQS that fail before the outage ends. A call makes three tries, so each requeue fails and is repeated."""


async def test_an_outage_fails_no_request_and_counts_no_death(
    embedded_aws: RecordingAws,
) -> None:
    """The outage is neither the customer's fault nor the image's: no request is FAILED, and no death is counted."""
    port, outage = MetricsPort(), Outage()
    async with (
        origin() as images,
        aws_proxy(embedded_aws.endpoint) as proxy,
        system(embedded_aws, endpoint=proxy.endpoint) as running,
        stores_of(running) as stores,
    ):
        middle = asyncio.Event()

        async def outage_begins(_request: web.Request) -> web.Response:
            proxy.hook = outage.hook
            middle.set()
            return web.Response(body=numbered_png(-1), content_type="image/png")

        await running.start_server()
        ids = await asyncio.gather(*(running.submit(images.image_url(n)) for n in range(IMAGES)))
        images.serve(f"/n/{IMAGES // 2}", outage_begins)
        await running.start_consumer(**port.settings)
        await middle.wait()
        images.forget(f"/n/{IMAGES // 2}")
        await port.until(lambda page: page.value("consumer_outage") == 1)
        await wait_for(lambda: outage.calls["SendMessageBatch"] >= SENDS, "failed requeues")
        proxy.hook = pass_on
        await running.wait_terminal(ids)
        rows = await stores.requests()
        assert Counter(row["status"]["S"] for row in rows) == {"COMPLETED": IMAGES}
        assert Counter(row["retryCount"]["N"] for row in rows) == {"0": IMAGES}
        await stores.prove_each_ended_once(ids)
