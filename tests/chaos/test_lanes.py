"""One customer has more work than the consumer can do: the images of another customer do not wait for it."""

import signal
from collections.abc import Iterable, Mapping

import pytest

from harness.aws import RecordingAws
from harness.messages import take
from harness.metrics import MetricsPort
from harness.origin import origin
from harness.stores import stores_of
from harness.system import System, system
from imageservice.v1 import image_service_pb2 as pb
from isolation.origins import loopback_hosts, silent_origin
from isolation.traffic import numbered, submit_stream

GREEDY, OTHER = "greedy", "other"
SILENT_HOSTS = 40
SLOTS = 8
OTHERS = 10
BULK = 300
HUNG: Mapping[str, str] = {
    "ALLOWED_NETWORKS": "127.0.0.0/8",
    "CONCURRENCY": str(SLOTS),
    "TOTAL_TIMEOUT_S": "600",
    "DRAIN_GRACE_S": "0",
}
"""More than a slot for each silent host, and fetches that outlast the test."""


async def states(running: System, ids: Iterable[str]) -> set[pb.State.ValueType]:
    async with running.stub() as stub:
        answers = [
            await stub.GetStatus(pb.GetStatusRequest(request_id=each), timeout=30) for each in ids
        ]
    return {each.request.state for each in answers}


@pytest.mark.parametrize("bulk", [True, False], ids=["two lanes", "one lane"])
async def test_silent_hosts_of_a_customer_do_not_delay_another_customer(
    embedded_aws: RecordingAws, bulk: bool
) -> None:
    """All messages of the first customer are in the interactive queue, before those of the other."""
    hosts = loopback_hosts(16, SILENT_HOSTS)
    lanes = {} if bulk else {"BULK_QUEUE_URL": ""}
    consumer = MetricsPort()
    async with (
        silent_origin(hosts) as silent,
        origin() as images,
        system(embedded_aws) as running,
    ):
        await running.start_server(BULK_QUEUE_URL="")
        greedy = await submit_stream(running, GREEDY, numbered(hosts, silent.port, SILENT_HOSTS))
        urls = [images.image_url(number) for number in range(OTHERS)]
        others = await submit_stream(running, OTHER, urls)
        await running.start_consumer(**HUNG, **lanes, **consumer.settings)
        ended = await running.wait_terminal(others)
        assert {each.state for each in ended.values()} == {pb.STATE_COMPLETED}
        assert await states(running, greedy) == {pb.STATE_PENDING}
        page = await consumer.scrape()
        assert page.value("consumer_given_back_messages_total", reason="share", lane="interactive")


async def test_a_backlog_in_bulk_does_not_delay_interactive_images(
    embedded_aws: RecordingAws,
) -> None:
    """Of the customer with the backlog or of another one. Both lanes are served at the same time."""
    async with origin() as images, system(embedded_aws) as running, stores_of(running) as stores:
        await running.start_server(QUEUE_URL=running.stack.bulk_queue_url, BULK_QUEUE_URL="")
        urls = [images.image_url(number) for number in range(BULK + OTHERS)]
        backlog = await submit_stream(running, GREEDY, urls[:BULK])
        await running.stop()
        await running.start_server()
        others = [
            await running.submit(url, customer=customer)
            for url, customer in zip(urls[BULK:], (GREEDY, OTHER) * OTHERS, strict=False)
        ]
        await running.start_consumer(CONCURRENCY=str(SLOTS))
        await running.start_consumer(CONCURRENCY=str(SLOTS))
        ended = await running.wait_terminal([*backlog, *others])
        assert {each.state for each in ended.values()} == {pb.STATE_COMPLETED}
        ends = {name: each.update_time.ToNanoseconds() for name, each in ended.items()}
        last = max(ends[name] for name in others)
        assert sum(ends[name] < last for name in backlog) < BULK / 2
        await stores.prove_each_ended_once(list(ended))


async def test_requeued_and_abandoned_messages_keep_their_lane(embedded_aws: RecordingAws) -> None:
    """A drained consumer sends the messages of each lane back to its queue."""
    hosts = loopback_hosts(17, 4)
    async with (
        silent_origin(hosts) as silent,
        system(embedded_aws) as running,
        stores_of(running) as stores,
    ):
        stack = running.stack
        urls = numbered(hosts, silent.port, len(hosts))
        await running.start_server(QUEUE_URL=stack.bulk_queue_url, BULK_QUEUE_URL="")
        bulk = await submit_stream(running, GREEDY, urls[:2])
        await running.stop()
        await running.start_server()
        interactive = await submit_stream(running, OTHER, urls[2:])
        consumer = await running.start_consumer(**HUNG)
        await silent.wait_open(len(urls))
        consumer.send_signal(signal.SIGTERM)
        assert await consumer.wait() == 0
        for url, expected in ((stack.bulk_queue_url, bulk), (stack.queue_url, interactive)):
            messages = await take(stores.sqs, url, len(expected))
            assert {each.request_id for each in messages} == set(expected)
