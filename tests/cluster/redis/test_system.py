"""The whole system with Redis: real processes, and polls so rare that states must be pushed."""

import asyncio
from pathlib import Path

import pytest

from cluster.redis.secured_redis import PASSWORD, Certificates, secure
from harness.aws import RecordingAws
from harness.metrics import MetricsPort
from harness.origin import origin
from harness.redis_server import redis_server
from harness.system import system
from imageservice.v1 import image_service_pb2 as pb

MINUTES = {"WATCH_SHORTEST_INTERVAL_S": "300", "WATCH_LONGEST_INTERVAL_S": "600"}
PUSHED_S = 30
IMAGES = 10
WRONG = "not-the-p4ssword"


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_consumer_pushes_to_every_server_process(
    embedded_aws: RecordingAws, tmp_path: Path, workers: int
) -> None:
    """COMPLETED and FAILED reach a watch at every worker. No server reads a row of a COMPLETED request."""
    port = MetricsPort()
    async with (
        redis_server(tmp_path) as redis,
        origin() as images,
        system(embedded_aws) as running,
    ):
        channel = f"imageservice:{running.stack.requests_table}"
        await running.start_server(
            f"--workers={workers}", REDIS_URL=redis.url, **MINUTES, **port.settings
        )
        await redis.wait_subscribers(channel, workers)
        missing = await running.submit(f"{images.base}/nothing-here")
        ids = [await running.submit(images.image_url(number)) for number in range(IMAGES)]
        async with running.stub() as stub, asyncio.timeout(PUSHED_S):
            watch = stub.WatchRequest(pb.WatchRequestRequest(request_ids=[*ids, missing]))
            events = aiter(watch)
            # A request that ends before its watch begins would be read from the table.
            first = [(await anext(events)).request.state for _ in range(IMAGES + 1)]
            assert set(first) == {pb.STATE_PENDING}
            await running.start_consumer(REDIS_URL=redis.url)
            ended = {event.request.request_id: event.request.state async for event in events}
        assert ended == {missing: pb.STATE_FAILED, **dict.fromkeys(ids, pb.STATE_COMPLETED)}
        page = await port.scrape()
        assert page.value("redis_up", use="news") == 1
        assert page.value("redis_up", use="calls") == 1
        assert page.value("status_reads_total", source="redis") == IMAGES


@pytest.mark.parametrize("right", [True, False])
async def test_with_tls_and_a_password(
    embedded_aws: RecordingAws, tmp_path: Path, capfd: pytest.CaptureFixture[str], *, right: bool
) -> None:
    """Cache and push work. With a wrong password the system works as without Redis, and each process logs why."""
    server_port, consumer_port = MetricsPort(), MetricsPort()
    certificates = await asyncio.to_thread(Certificates.in_folder, tmp_path)
    async with (
        redis_server(tmp_path) as plain,
        origin() as images,
        system(embedded_aws) as running,
    ):
        redis = await secure(plain, certificates)
        url = redis.url if right else redis.url_of(password=WRONG)
        await running.start_server(
            REDIS_URL=url, **(MINUTES if right else {}), **server_port.settings
        )
        await running.start_consumer(REDIS_URL=url, **consumer_port.settings)
        await consumer_port.until_served()
        if right:
            await plain.wait_subscribers(f"imageservice:{running.stack.requests_table}", 1)
        ids = [await running.submit(images.image_url(number)) for number in range(IMAGES)]
        ended = await running.wait_terminal(ids, seconds=PUSHED_S)
        assert {ended[each].state for each in ids} == {pb.STATE_COMPLETED}
        await until_up_is(right, server_port, "calls")
        await until_up_is(right, server_port, "news")
        await until_up_is(right, consumer_port, "calls")
    stderr = (await asyncio.to_thread(capfd.readouterr)).err
    assert PASSWORD not in stderr
    assert WRONG not in stderr
    refused = [line for line in stderr.splitlines() if "AuthenticationError: invalid" in line]
    unused = [line for line in refused if "redis unavailable" in line]
    assert {line.rpartition("process=")[2] for line in unused} == (
        set() if right else {"server", "consumer"}
    )
    assert any("redis subscription lost" in line for line in refused) != right


async def until_up_is(up: bool, port: MetricsPort, use: str) -> None:
    async with asyncio.timeout(PUSHED_S):
        while (await port.scrape()).value("redis_up", use=use) != up:  # noqa: ASYNC110  another process changes it
            await asyncio.sleep(0.05)
