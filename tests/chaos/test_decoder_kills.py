"""kill -9 of decoder processes, of their fork server, and of the worker itself."""

import asyncio
import os
import signal
import sys
from functools import partial
from pathlib import Path

import pytest

from harness.aws import RecordingAws
from harness.origin import origin
from harness.processes import Process
from harness.stores import stores_of
from harness.system import system
from harness.waiting import wait_for
from imageservice.v1 import image_service_pb2 as pb

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="proc(5) lists the processes")

IMAGES = 200


def parents() -> dict[int, int]:
    """Return the parent of each living process, by pid (proc(5))."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state != "Z":
            found[int(folder.name)] = int(parent)
    return found


def children(pid: int) -> list[int]:
    return [child for child, parent in parents().items() if parent == pid]


async def sandbox(worker: Process) -> tuple[int, list[int]]:
    """Wait until decoders run. Return the pids of the fork server and of the decoders.

    A new fork server forks a decoder when it is needed.
    """
    found: list[list[int]] = []

    def complete() -> bool:
        servers = children(worker.pid)
        found[:] = [servers, children(servers[0]) if servers else []]
        return len(found[0]) == 1 and len(found[1]) > 0

    await wait_for(partial(asyncio.to_thread, complete), lambda: f"decoders run: {found}")
    return found[0][0], found[1]


async def wait_until_gone(pids: list[int]) -> None:
    def gone() -> bool:
        return parents().keys().isdisjoint(pids)

    await wait_for(partial(asyncio.to_thread, gone), f"{pids} end")


async def test_kills_of_decoders_and_of_their_fork_server_fail_no_image(
    embedded_aws: RecordingAws,
) -> None:
    """The worker goes on. Each image that was in progress is examined again."""
    async with (
        origin() as images,
        system(embedded_aws) as running,
        stores_of(running) as stores,
    ):
        await running.start_server()
        worker = await running.start_consumer()
        ids = await asyncio.gather(
            *(running.submit(images.image_url(number)) for number in range(IMAGES))
        )
        ended = asyncio.create_task(running.wait_terminal(ids))
        for _ in range(2):
            server, decoders = await sandbox(worker)
            os.kill(decoders[0], signal.SIGKILL)
            await wait_until_gone(decoders[:1])
            os.kill(server, signal.SIGKILL)
            await wait_until_gone([server, *decoders])
        states = await ended
        assert {state.state for state in states.values()} == {pb.STATE_COMPLETED}
        await stores.prove_each_ended_once(ids)
        assert worker.returncode is None


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_no_decoder_outlives_its_worker(
    embedded_aws: RecordingAws, number: signal.Signals
) -> None:
    """Whether the worker is killed or drains."""
    async with system(embedded_aws) as running:
        worker = await running.start_consumer()
        server, decoders = await sandbox(worker)
        worker.send_signal(number)
        await worker.wait()
        running.processes.remove(worker)
        await wait_until_gone([server, *decoders])
