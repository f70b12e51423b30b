"""The Go programs of the benchmarks leave what our consumer leaves: rows, objects, notifications and an empty queue."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from cli.local.embedded_aws import without_aws
from core.model.image import image_id_of
from harness.aws import RecordingAws
from harness.origin import origin
from harness.stores import stores_of
from harness.system import System, system
from loadtest.bench.subjects.go import PLAIN, TURBO, program
from loadtest.bench.system.stages import image_urls

IMAGES = 9
DIFFERENT_IDS = {"imageId", "requestId", "createdAt", "requestCreatedAt", "notificationId"}
LOOKS = {"perceptualHash", "dominantColor", "color"}
FACTS = LOOKS | {"camera", "captureTime"}
"""Facts that PLAIN does not read."""
MOST_BITS = 8
"""Hashes of one image may differ by this number: the programs round differently, and a bit compares two pixels."""


@pytest.mark.parametrize("variant", [PLAIN, TURBO], ids=["plain", "turbo"])
async def test_a_go_worker_leaves_what_our_consumer_leaves(
    embedded_aws: RecordingAws, variant: tuple[str, ...]
) -> None:
    command = (str(await asyncio.to_thread(program, variant[0])), *variant[1:])
    async with (
        origin() as served,
        system(embedded_aws) as running,
        stores_of(running) as stores,
    ):
        urls = image_urls(served.base, IMAGES)
        await running.start_server()
        ours = [await running.submit(url) for url in urls]
        consumer = await running.start_consumer()
        await running.wait_terminal(ours)
        await stores.until_depth(running.stack.queue_url, 0)
        consumer.send_signal(signal.SIGTERM)
        assert await consumer.wait() == 0
        theirs = [await running.submit(url) for url in urls]
        async with worker(running, command):
            await running.wait_terminal(theirs)
            await stores.until_depth(running.stack.queue_url, 0)
        images = {row["requestId"]["S"]: row for row in await stores.images()}
        notes = {
            note.sent["requestId"]: note
            for note in await stores.notifications(f"{each}:2" for each in (*ours, *theirs))
        }
    for our_id, their_id in zip(ours, theirs, strict=True):
        assert images[their_id]["imageId"]["S"] == image_id_of(their_id)
        assert comparable(images[our_id]) == comparable(images[their_id])
        assert comparable(notes[our_id].sent) == comparable(notes[their_id].sent)
        if variant is TURBO:
            hashes = [look(images[each], "perceptualHash") for each in (our_id, their_id)]
            assert (int(hashes[0], 16) ^ int(hashes[1], 16)).bit_count() <= MOST_BITS
            assert look(images[their_id], "dominantColor")
            camera = [images[each]["metadata"]["M"].get("camera") for each in (our_id, their_id)]
            assert camera[0] == camera[1]


@asynccontextmanager
async def worker(running: System, command: tuple[str, ...]) -> AsyncIterator[None]:
    # The role of the tests: one call per write needs other permissions than our consumer has.
    own = running.environment("tests", {})
    process = await asyncio.create_subprocess_exec(*command, env={**without_aws(os.environ), **own})
    try:
        yield
    finally:
        process.terminate()
        await process.wait()


def comparable(stored: dict[str, Any]) -> dict[str, Any]:
    """Return a row or a notification without what differs between requests, and without facts that PLAIN lacks."""
    kept = {name: value for name, value in stored.items() if name not in DIFFERENT_IDS}
    metadata = kept["metadata"].get("M", kept["metadata"])
    kept["metadata"] = {name: value for name, value in metadata.items() if name not in FACTS}
    return kept


def look(row: dict[str, Any], name: str) -> str:
    value: str = row["metadata"]["M"][name]["S"]
    return value
