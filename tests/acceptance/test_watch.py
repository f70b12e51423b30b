"""A watch across a restart of its server."""

import asyncio
import signal

from cli.client.client import connect
from harness.aws import RecordingAws
from harness.origin import origin
from harness.stores import stores_of
from harness.system import system
from imageservice.v1 import image_service_pb2 as pb

IDS = 20
HALF = 10
# The defaults, 60 times faster: a connection lives for 30 s and is pinged every second.
SCALED = {
    "KEEPALIVE_TIME_S": "1",
    "KEEPALIVE_TIMEOUT_S": "0.4",
    "KEEPALIVE_MIN_CLIENT_INTERVAL_S": "0.1",
    "MAX_CONNECTION_AGE_S": "30",
    "MAX_CONNECTION_AGE_GRACE_S": "1",
}


async def test_a_watch_over_twenty_ids_survives_a_restart_of_its_server(
    embedded_aws: RecordingAws,
) -> None:
    """It reports each current state first, then every change, also those during the restart, and ends OK."""
    seen: list[tuple[str, int]] = []
    all_pending, half_done = asyncio.Event(), asyncio.Event()

    async def watch(address: str, ids: list[str]) -> None:
        async with connect(address) as client:
            async for request in client.watch(ids):
                seen.append((request.request_id, request.state))
                if len(seen) == IDS:
                    all_pending.set()
                if sum(state == pb.STATE_COMPLETED for _, state in seen) == HALF:
                    half_done.set()

    async with origin() as images, system(embedded_aws) as running, stores_of(running) as stores:
        first = await running.start_server(**SCALED)
        ids = [await running.submit(images.image_url(n)) for n in range(HALF)]
        late = [await running.submit(images.hold(f"/held/{n}")) for n in range(IDS - HALF)]
        watching = asyncio.create_task(watch(running.address, ids + late))
        await all_pending.wait()
        assert {state for _, state in seen} == {pb.STATE_PENDING}
        await running.start_consumer(PER_HOST_LIMIT=str(IDS))
        await half_done.wait()
        first.send_signal(signal.SIGTERM)
        assert await first.wait() == 0
        # The other half ends while no server runs.
        images.release()
        await stores.notifications(f"{request_id}:2" for request_id in ids + late)
        await running.start_server(**SCALED)
        await watching
    for request_id in ids + late:
        states = [state for each, state in seen if each == request_id]
        assert states == [pb.STATE_PENDING, pb.STATE_COMPLETED]
