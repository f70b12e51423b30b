"""Graceful shutdown with `docker stop`, which acts like the end of a pod: SIGTERM, then SIGKILL."""

import asyncio
import uuid

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from cluster.image.contained_system import ContainedSystem
from harness.grpc_client import submit_request
from harness.origin import Origin, origin
from harness.stores import stores_of
from imageservice.v1 import image_service_pb2 as pb

pytestmark = pytest.mark.timeout(900)

GRACE_S = 60
TIMEOUT_S = 60


async def until_fetched(images: Origin, path: str) -> None:
    """Wait until the path is requested."""
    async with asyncio.timeout(TIMEOUT_S):
        while not images.hits[path]:  # noqa: ASYNC110  another task counts
            await asyncio.sleep(0.05)


async def test_a_stopped_consumer_requeues_messages_that_it_cannot_finish(
    contained: ContainedSystem,
) -> None:
    """It exits with 0, its message is visible on the queue, and the next consumer processes it."""
    async with origin() as images, stores_of(contained) as stores:
        await contained.run_server()
        request_id = await contained.submit(images.hold("/slow.png"))
        consumer = await contained.run_consumer(DRAIN_GRACE_S="1")
        await until_fetched(images, "/slow.png")
        assert await consumer.stop(GRACE_S) == 0
        assert not (await consumer.state())["OOMKilled"]
        assert await stores.depth(contained.stack.queue_url) == 1
        images.release()
        await contained.run_consumer()
        await contained.wait_terminal([request_id])
        await stores.prove_each_ended_once([request_id])


async def test_a_stopped_consumer_finishes_messages_within_its_grace_period(
    contained: ContainedSystem,
) -> None:
    """An image that is being fetched is still published, and its notification is sent."""
    async with origin() as images, stores_of(contained) as stores:
        await contained.run_server()
        request_id = await contained.submit(images.hold("/slow.png"))
        consumer = await contained.run_consumer()
        await until_fetched(images, "/slow.png")
        await consumer.signal("TERM")
        images.release()
        assert await consumer.process.wait() == 0
        await contained.wait_terminal([request_id])
        await stores.prove_each_ended_once([request_id])


async def test_a_stopped_server_is_unready_before_it_refuses_calls(
    contained: ContainedSystem,
) -> None:
    """Calls are served during the delay, so that load balancers can react. Then it exits with 0."""
    server = await contained.run_server(DRAIN_DELAY_S="3")
    async with grpc.aio.insecure_channel(contained.address) as channel, contained.stub() as stub:
        watch = health_pb2_grpc.HealthStub(channel).Watch(
            health_pb2.HealthCheckRequest(service="imageservice.v1.ImageService")
        )
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        stopping = asyncio.create_task(server.stop(GRACE_S))
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        answer = await stub.SubmitImage(submit_request(str(uuid.uuid4())), timeout=30)
        assert answer.state == pb.STATE_PENDING
        assert await stopping == 0
