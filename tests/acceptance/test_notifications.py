"""Notifications and their filters."""

import json

from harness.aws import RecordingAws
from harness.origin import origin
from harness.stores import stores_of, subscribe
from harness.system import system


async def test_a_filtered_subscription_gets_only_its_customers_notifications(
    embedded_aws: RecordingAws,
) -> None:
    """COMPLETED and FAILED requests of one customer, and none of another one."""
    async with origin() as images, system(embedded_aws) as running, stores_of(running) as stores:
        queue = await subscribe(stores, "acme", customer="acme")
        await running.start_server()
        good = await running.submit(images.image_url(1))
        bad = await running.submit(f"{images.base}/missing")
        others = await running.submit(images.image_url(2), customer="other")
        await running.start_consumer()
        everyone = await stores.notifications(f"{each}:2" for each in (good, bad, others))
        assert len(everyone) == 3
        received = []
        while batch := await stores.receive(queue):
            received += [json.loads(json.loads(message["Body"])["Message"]) for message in batch]
        notices = {each["requestId"]: each for each in received}
        assert notices.keys() == {good, bad}
        assert notices[good]["status"] == "COMPLETED"
        assert notices[bad]["failure"]["code"] == "NOT_FOUND"
        attributes = {each.sent["requestId"]: each.attributes for each in everyone}
        assert attributes[good] == {
            "customerId": "acme",
            "status": "COMPLETED",
            "requestId": good,
            "revision": "2",
        }
        (failed_request,) = await stores.failed_requests(1)
        assert (failed_request["request_id"], failed_request["failure_code"]) == (bad, "NOT_FOUND")
