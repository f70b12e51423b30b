"""A customer submits many images that are expensive to decode."""

from harness.aws import RecordingAws
from harness.images import expensive_png
from harness.metrics import MetricsPort
from harness.origin import origin
from harness.stores import stores_of
from harness.system import system
from imageservice.v1 import image_service_pb2 as pb

EXPENSIVE = 20
SLOTS = 8


async def test_expensive_images_do_not_delay_other_images(embedded_aws: RecordingAws) -> None:
    """An image that was submitted after them ends before most of them. Few of them are fetched in vain."""
    body = expensive_png()
    port = MetricsPort()
    async with origin() as images, system(embedded_aws) as running, stores_of(running) as stores:
        urls = [images.serve_body(f"/expensive/{number}", body) for number in range(EXPENSIVE)]
        await running.start_server()
        expensive = [await running.submit(url, customer="large") for url in urls]
        other = await running.submit(images.image_url(1), customer="other")
        await running.start_consumer(CONCURRENCY=str(SLOTS), DECODERS="2", **port.settings)
        ended = await running.wait_terminal([*expensive, other])
        assert {request.state for request in ended.values()} == {pb.STATE_COMPLETED}
        moment = ended[other].update_time.ToMilliseconds()
        before = [each for each in expensive if ended[each].update_time.ToMilliseconds() < moment]
        assert len(before) < EXPENSIVE / 2
        page = await port.scrape()
        assert page.value("consumer_given_back_messages_total", reason="decoders_busy")
        assert sum(images.hits.values()) < 3 * EXPENSIVE
        await stores.prove_each_ended_once([*expensive, other])
