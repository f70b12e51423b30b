"""The processes from the image, in containers with the permissions of a restricted pod."""

import asyncio
import hashlib

import grpc
import pytest
from aiobotocore.session import get_session
from grpc_health.v1 import health_pb2, health_pb2_grpc

from cli.local.embedded_aws import free_port
from cluster.image.contained_system import ContainedSystem
from harness.aws import RecordingAws
from harness.origin import SAMPLE_FOLDER, origin
from imageservice.v1 import image_service_pb2 as pb

pytestmark = pytest.mark.timeout(900)

SAMPLES = sorted(path.name for path in SAMPLE_FOLDER.glob("*.*") if path.suffix != ".md")


async def published_digests(aws: RecordingAws, bucket: str) -> set[str]:
    """Return the SHA-256 digests of all objects."""
    async with get_session().create_client("s3", **aws.sdk()) as s3:
        listed = await s3.list_objects_v2(Bucket=bucket)

        async def digest(key: str) -> str:
            answer = await s3.get_object(Bucket=bucket, Key=key)
            return hashlib.sha256(await answer["Body"].read()).hexdigest()

        return set(await asyncio.gather(*(digest(each["Key"]) for each in listed["Contents"])))


async def test_images_are_published_and_a_failure_is_reported(
    contained: ContainedSystem, embedded_aws: RecordingAws
) -> None:
    """The libraries in the container image decode every format. The objects have the digests of the responses."""
    await contained.run_server()
    await contained.run_consumer()
    async with origin() as images:
        good = [await contained.submit(f"{images.base}/pictures/{name}") for name in SAMPLES]
        bad = await contained.submit(f"{images.base}/pictures/nothing.png")
        ended = await contained.wait_terminal([*good, bad])
    assert ended[bad].failure.code == pb.FAILURE_CODE_NOT_FOUND
    done = [ended[request_id].image for request_id in good]
    assert {ended[request_id].state for request_id in good} == {pb.STATE_COMPLETED}
    assert await published_digests(embedded_aws, contained.stack.bucket) == {
        image.metadata.sha256 for image in done
    }


async def test_health_and_metrics_are_served(contained: ContainedSystem) -> None:
    """Every process answers its probes and Prometheus."""
    server = await contained.run_server()
    async with grpc.aio.insecure_channel(contained.address) as channel:
        for service in ("", "imageservice.v1.ImageService"):
            check = health_pb2.HealthCheckRequest(service=service)
            answer = await health_pb2_grpc.HealthStub(channel).Check(check, timeout=10)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
    consumer = await contained.run_consumer()
    exporter = await contained.run_exporter()
    # No engine listens at this URL; the indexer waits for it.
    indexer = await contained.run_indexer(SEARCH_URL=f"http://127.0.0.1:{free_port()}")
    assert "grpc_server_handled_total" in await server.metrics()
    assert "consumer_in_flight_messages" in await consumer.metrics()
    assert "queue_read_failures_total" in await exporter.metrics()
    assert "indexer_documents_total" in await indexer.metrics()


async def test_reconcile_succeeds(contained: ContainedSystem) -> None:
    """The scheduled job uses the same image."""
    assert await contained.run_operator("reconcile") == 0


async def test_several_workers_share_one_container(contained: ContainedSystem) -> None:
    """They share their metrics in /tmp, the only writable folder."""
    contained.address = f"127.0.0.1:{free_port()}"
    settings = {"GRPC_ADDRESS": contained.address, "DRAIN_DELAY_S": "0"}
    await contained.start("server", settings, ("--workers", "2"))
    async with grpc.aio.insecure_channel(contained.address) as channel:
        check = health_pb2.HealthCheckRequest()
        stub = health_pb2_grpc.HealthStub(channel)
        await stub.Check(check, wait_for_ready=True, timeout=30)
    assert 'worker="1"' in await contained.containers[-1].metrics()
