"""CRASHED depends on deaths of processes while they decode the image alone, and on nothing else."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from harness.aws import RecordingAws
from harness.aws_proxy import Forward, Hook, ProxiedCall, Unreachable, aws_proxy
from harness.images import expensive_png
from harness.origin import Handler, numbered_png, origin
from harness.processes import Process
from harness.stores import Stores, stores_of
from harness.system import System, system
from harness.waiting import wait_for
from imageservice.v1 import image_service_pb2 as pb

# Short, so that the messages of a killed consumer are received again soon.
VISIBILITY_S = "4"
OTHERS = 9
SLOW_SIDE = 6_000
"""Of an image that is decoded for a good part of a second, so that its consumer can be killed meanwhile."""
SLOTS = 64


@dataclass
class Victim:
    """A consumer that is started again whenever it is killed."""

    running: System
    settings: dict[str, str]
    kills: int = 0
    _process: Process | None = None
    _died: asyncio.Event = field(default_factory=asyncio.Event)

    async def keep_running(self, until: "asyncio.Task[Any]") -> None:
        while not until.done():
            self._died.clear()
            self._process = await self.running.start_consumer(**self.settings)
            died = asyncio.create_task(self._died.wait())
            await asyncio.wait({died, until}, return_when=asyncio.FIRST_COMPLETED)
            died.cancel()

    async def kill(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            self.kills += 1
            await self.running.kill(process)
            self._died.set()

    async def kill_in_isolated_decodings(
        self, request_id: str, folder: Path, until: "asyncio.Task[Any]", *, times: int
    ) -> None:
        """Kill the first `times` processes whose journals say that they decode this image alone."""
        killed: set[Path] = set()

        def find() -> Path | None:
            for path in set(folder.glob("*.journal")) - killed:
                # It may be removed meanwhile.
                with suppress(FileNotFoundError):
                    if request_id.encode() in path.read_bytes():
                        return path
            return None

        while len(killed) < times and not until.done():
            if found := await asyncio.to_thread(find):
                killed.add(found)
                await self.kill()

    def serve_after_kills(self, times: int, body: bytes) -> Handler:
        """Return a handler that kills the consumer while it fetches, and serves the body after `times` kills."""

        async def serve(_request: web.Request) -> web.Response:
            if self.kills >= times:
                return web.Response(body=body)
            await self.kill()
            return web.Response(status=500)

        return serve


async def death_counts(stores: Stores) -> dict[str, str]:
    return {row["requestId"]["S"]: row["retryCount"]["N"] for row in await stores.requests()}


async def test_a_poison_message_fails_crashed_and_the_others_complete(
    embedded_aws: RecordingAws, tmp_path: Path
) -> None:
    """The first death is in a fetch and does not count. The nine messages beside it complete."""
    body = await asyncio.to_thread(expensive_png, SLOW_SIDE)
    async with (
        origin() as images,
        system(embedded_aws, VisibilityTimeoutSeconds=VISIBILITY_S) as running,
        stores_of(running) as stores,
    ):
        await running.start_server()
        victim = Victim(running, {"JOURNAL_DIR": str(tmp_path)})
        others = [await running.submit(images.image_url(n)) for n in range(OTHERS)]
        url = images.serve("/poison", victim.serve_after_kills(1, body))
        poisonous = await running.submit(url)
        ended = asyncio.create_task(running.wait_terminal([poisonous, *others]))
        await asyncio.gather(
            victim.keep_running(ended),
            victim.kill_in_isolated_decodings(poisonous, tmp_path, ended, times=9),
        )
        states = await ended
        assert states[poisonous].failure.code == pb.FAILURE_CODE_CRASHED, states[poisonous]
        assert {states[each].state for each in others} == {pb.STATE_COMPLETED}
        # Once in the fetch, then MAX_ISOLATED_RUNS times in the decoding.
        assert victim.kills == 3
        assert await death_counts(stores) == {poisonous: "2"} | dict.fromkeys(others, "0")
        expected = {f"{request_id}:2" for request_id in (poisonous, *others)}
        notified = {notification.id for notification in await stores.notifications(expected)}
        assert notified == expected


async def test_deaths_during_fetches_do_not_count(embedded_aws: RecordingAws) -> None:
    """An image that is fetched for a long time meets many evictions, and completes."""
    async with (
        origin() as images,
        system(embedded_aws, VisibilityTimeoutSeconds=VISIBILITY_S, MaxReceiveCount="9") as running,
        stores_of(running) as stores,
    ):
        await running.start_server()
        victim = Victim(running, {})
        request_id = await running.submit(
            images.serve("/slow", victim.serve_after_kills(4, numbered_png(1)))
        )
        ended = asyncio.create_task(running.wait_terminal([request_id]))
        await victim.keep_running(ended)
        assert victim.kills == 4
        assert (await ended)[request_id].state == pb.STATE_COMPLETED
        assert await death_counts(stores) == {request_id: "0"}


async def test_deaths_during_uploads_do_not_count(embedded_aws: RecordingAws) -> None:
    """The image has been decoded by then."""
    async with (
        origin() as images,
        aws_proxy(embedded_aws.endpoint) as proxy,
        system(
            embedded_aws,
            endpoint=proxy.endpoint,
            VisibilityTimeoutSeconds=VISIBILITY_S,
            MaxReceiveCount="9",
        ) as running,
        stores_of(running) as stores,
    ):
        await running.start_server()
        victim = Victim(running, {})

        async def kill_before_the_upload(call: ProxiedCall, forward: Forward) -> web.Response:
            if call.operation == "PUT" and victim.kills < 4:
                await victim.kill()
                raise Unreachable
            return await forward()

        proxy.hook = kill_before_the_upload
        request_id = await running.submit(images.image_url(1))
        ended = asyncio.create_task(running.wait_terminal([request_id]))
        await victim.keep_running(ended)
        assert victim.kills == 4
        assert (await ended)[request_id].state == pb.STATE_COMPLETED
        assert await death_counts(stores) == {request_id: "0"}


def lose_answers_to_counts(lost: list[str], times: int) -> Hook:
    """The first `times` counts of a death are written, but their answers are lost."""

    async def hook(call: ProxiedCall, forward: Forward) -> web.Response:
        answer = await forward()
        if (
            call.operation == "BatchExecuteStatement"
            and b"runId" in call.body
            and len(lost) < times
        ):
            lost.append(call.operation)
            raise Unreachable
        return answer

    return hook


async def test_a_death_whose_count_has_lost_answers_counts_once(
    embedded_aws: RecordingAws, tmp_path: Path
) -> None:
    """Every try of one call is lost, and the count is repeated. The image then completes."""
    body = await asyncio.to_thread(expensive_png, SLOW_SIDE)
    async with (
        origin() as images,
        aws_proxy(embedded_aws.endpoint) as proxy,
        system(
            embedded_aws, endpoint=proxy.endpoint, VisibilityTimeoutSeconds=VISIBILITY_S
        ) as running,
        stores_of(running) as stores,
    ):
        lost: list[str] = []
        proxy.hook = lose_answers_to_counts(lost, 3)
        await running.start_server()
        victim = Victim(running, {"JOURNAL_DIR": str(tmp_path)})
        request_id = await running.submit(images.serve("/image", victim.serve_after_kills(1, body)))
        ended = asyncio.create_task(running.wait_terminal([request_id]))
        await asyncio.gather(
            victim.keep_running(ended),
            victim.kill_in_isolated_decodings(request_id, tmp_path, ended, times=1),
        )
        assert len(lost) == 3
        assert (await ended)[request_id].state == pb.STATE_COMPLETED
        assert await death_counts(stores) == {request_id: "1"}


async def test_the_messages_of_a_killed_consumer_run_beside_each_other(
    embedded_aws: RecordingAws,
) -> None:
    """One of two consumers dies with 64 slow fetches. The other one runs them, and meanwhile another image."""
    async with (
        origin() as images,
        system(embedded_aws, VisibilityTimeoutSeconds=VISIBILITY_S) as running,
        stores_of(running) as stores,
    ):
        await running.start_server()
        urls = [images.hold(f"/slow/{number}") for number in range(SLOTS)]
        slow = await asyncio.gather(*(running.submit(url, customer="slow") for url in urls))
        killed = await running.start_consumer()

        async def fetched(times: int) -> None:
            await wait_for(lambda: sum(images.hits.values()) == times * SLOTS, "all are fetched")

        await fetched(1)
        await running.start_consumer(CONCURRENCY=str(2 * SLOTS), PER_HOST_LIMIT=str(2 * SLOTS))
        await running.kill(killed)
        await fetched(2)
        quick = await running.submit(images.image_url(1), customer="quick")
        states = await running.wait_terminal([quick])
        assert states[quick].state == pb.STATE_COMPLETED
        assert {row["status"]["S"] for row in await stores.requests()} == {"COMPLETED", "PENDING"}
        images.release()
        states = await running.wait_terminal(slow)
        assert {state.state for state in states.values()} == {pb.STATE_COMPLETED}
        assert sum(images.hits.values()) == 2 * SLOTS + 1
        assert set((await death_counts(stores)).values()) == {"0"}
