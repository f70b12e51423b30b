"""Decoders that die or exceed a limit: only their image fails, with a documented code."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from functools import partial

import pytest
from structlog.testing import capture_logs

from consumer.byte_budget import ByteBudget
from consumer.imaging.policy import ImagePolicy
from consumer.imaging.result import FailedRendition
from consumer.sandbox import cpu_limits, decode_pool, fork_client
from consumer.sandbox.admission import Admission, DecodersBusy
from consumer.sandbox.decode_pool import DecodePool, DecoderFault, open_decode_pool
from core.errors import (
    CorruptImage,
    Crashed,
    DecodeLimit,
    Overloaded,
    PermanentFailure,
    TooManyPixels,
)
from core.model.rendition import Presets, RenditionPreset
from harness.scripted_decoder import EXAMINER
from harness.waiting import wait_for

BUDGET = 64 * 1024 * 1024
SPIN = b"cpu 3600"


def open_pool(
    *,
    decoders: int = 2,
    cpu_limit_s: float = 60,
    admission: Admission | None = None,
    presets: Presets | None = None,
    examiner: str = EXAMINER,
) -> AbstractAsyncContextManager[DecodePool]:
    return open_decode_pool(
        ImagePolicy(presets=presets or {}),
        decoders=decoders,
        budget_bytes=BUDGET,
        cpu_limit_s=cpu_limit_s,
        admission=admission,
        examiner=examiner,
    )


@pytest.fixture
async def pool() -> AsyncIterator[DecodePool]:
    async with open_pool() as pool:
        yield pool
        assert pool._budget.free == BUDGET
        assert not pool._limits.watches


def pids(pool: DecodePool) -> list[int]:
    return [slot.decoder.pid for slot in pool._lanes.slots if slot.decoder is not None]


def usable(pool: DecodePool) -> bool:
    """Return whether the first decoder runs, as far as it is known."""
    decoder = pool._lanes.slots[0].decoder
    return decoder is not None and decoder.usable


async def ask(pool: DecodePool, fact: bytes) -> str:
    """Return a fact about the decoder process that is free."""
    with pytest.raises(CorruptImage) as answer:
        await pool.inspect(b"describe " + fact)
    return answer.value.detail


@pytest.mark.parametrize("how", [b"SIGSEGV", b"SIGABRT", b"SIGKILL", b"1"])
async def test_an_image_that_kills_two_decoders_fails_as_crashed(
    pool: DecodePool, how: bytes
) -> None:
    """The images beside it and after it complete."""
    running = asyncio.gather(*(pool.inspect(b"cpu 0.001") for _ in range(50)))
    with pytest.raises(Crashed):
        await pool.inspect(b"die " + how)
    assert len(await running) == 50
    assert (await pool.inspect(b"image")).metadata.width == 640


async def test_an_image_that_killed_a_decoder_is_not_deferred() -> None:
    """After a deferral nothing would say that it did, and it could kill decoders for ever."""
    admission = Admission(1)
    async with open_pool(admission=admission) as pool, admission.place(""):
        with pytest.raises(DecodersBusy):
            await pool.inspect(b"charge 16")
        with pytest.raises(Crashed):
            await pool.inspect(b"die SIGSEGV")


async def test_an_image_completes_if_only_a_used_decoder_dies_of_it(pool: DecodePool) -> None:
    """An earlier image may have damaged the memory of the decoder."""
    await asyncio.gather(*(pool.inspect(b"cpu 0.1") for _ in range(4)))
    assert (await pool.inspect(b"die-if-used SIGSEGV")).metadata.width == 640


async def test_kills_of_decoders_fail_no_image(pool: DecodePool) -> None:
    """Each image of a killed decoder is examined again."""
    for _ in range(3):
        running = asyncio.gather(*(pool.inspect(b"cpu 0.02") for _ in range(40)))
        await wait_for(lambda: bool(pool._limits.watches), "decoders work")
        for pid in pids(pool):
            os.kill(pid, signal.SIGKILL)
        assert len(await running) == 40


async def test_kills_of_the_fork_server_fail_no_image(pool: DecodePool) -> None:
    """It takes its decoders with it. All are started again."""
    running = asyncio.gather(*(pool.inspect(b"cpu 0.02") for _ in range(100)))
    for _ in range(2):
        process = pool._forks.process
        assert process is not None
        before = pids(pool)
        process.kill()
        await process.exited
        for pid in before:
            await wait_for(partial(has_ended, pid), "decoders end")
        await pool.inspect(b"image")
    assert len(await running) == 100


async def test_a_fork_server_that_does_not_start_again_is_started_later(
    pool: DecodePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For example because there are too many processes. Images wait, and none fails."""
    process = pool._forks.process
    assert process is not None
    with capture_logs() as logs, monkeypatch.context() as missing:
        missing.setattr("sys.executable", "/nonexistent")
        process.kill()
        await wait_for(lambda: any("not started" in log["event"] for log in logs), "a failed start")
    assert (await pool.inspect(b"image")).metadata.width == 640


async def test_a_system_that_refuses_processes_fails_no_image() -> None:
    """The worker requeues the message without an attempt. The fork server and the other decoders go on."""
    async with open_pool(examiner="harness.refused_forks:examine") as pool:
        before = pool._forks.process
        os.kill(pids(pool)[0], signal.SIGKILL)
        await wait_for(lambda: not usable(pool), "the first decoder ends")
        for _ in range(3):
            with pytest.raises(Overloaded, match="fork failed"):
                await pool.inspect(b"image")
        assert (await pool.inspect(b"image")).metadata.width == 640
        assert pool._forks.process is before


async def test_a_fork_server_that_hangs_is_killed_at_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A worker that stops does not wait for it."""
    monkeypatch.setattr(fork_client, "_CLOSE_S", 0.1)
    async with open_pool() as pool:
        process = pool._forks.process
        assert process is not None
        os.kill(process.pid, signal.SIGSTOP)
    assert process.exited.result() == -signal.SIGKILL


async def test_a_cancelled_image_keeps_the_limit_of_its_decoder(pool: DecodePool) -> None:
    """Otherwise nothing would end it, and the next image of its decoder would wait for ever."""
    cancelled = asyncio.create_task(pool.inspect(SPIN))
    await wait_for(lambda: bool(pool._limits.watches), "the image is examined")
    cancelled.cancel()
    assert (await pool.inspect(b"image")).metadata.width == 640
    await wait_for(lambda: not pool._limits.watches, "the decoder is killed")


async def has_ended(pid: int) -> bool:
    return not await asyncio.to_thread(alive, pid)


def alive(pid: int) -> bool:
    """Return whether a process exists that is not a zombie."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:  # noqa: PTH123  a short read of a kernel file
            return stat.read().rpartition(b")")[2].split()[0] != b"Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def test_an_image_that_takes_too_much_cpu_time_fails() -> None:
    """At once: it is not examined again."""
    async with open_pool(cpu_limit_s=0.5) as pool:
        with pytest.raises(DecodeLimit):
            await pool.inspect(SPIN)
        assert (await pool.inspect(b"image")).metadata.width == 640


async def test_a_decoder_that_sleeps_is_killed(
    pool: DecodePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It uses no CPU time, so the limit on that does not end it."""
    monkeypatch.setattr(cpu_limits, "_STALL_TICKS", 5)
    with pytest.raises(DecodeLimit):
        await pool.inspect(b"sleep 3600")


async def test_an_image_that_needs_more_memory_than_its_charge_fails(pool: DecodePool) -> None:
    """Its allocation fails. The worker's memory is not touched."""
    with pytest.raises(DecodeLimit):
        await pool.inspect(b"allocate 100")
    assert (await pool.inspect(b"allocate 5")).metadata.width == 640


async def test_an_image_gets_the_memory_that_it_is_charged(pool: DecodePool) -> None:
    """Up to the whole budget, and not more."""
    assert (await pool.inspect(b"charge 64")).metadata.width == 640
    with pytest.raises(TooManyPixels, match="68,157,440 bytes, at most 67,108,864"):
        await pool.inspect(b"charge 65")


async def test_a_decoder_that_raises_its_charge_again_and_again_ends(pool: DecodePool) -> None:
    """A hostile one must not keep its image running."""
    with pytest.raises(DecoderFault):
        await pool.inspect(b"overcharge")


async def test_an_error_of_ours_with_renditions_fails_the_renditions_only() -> None:
    preset = RenditionPreset(64, 64, "contain", "JPEG", 80)
    async with open_pool(presets={"one": preset}) as pool:
        result = await pool.inspect(b"fail-if-renditions", renditions=("one",))
    assert result.metadata.width == 640
    (failed,) = result.renditions
    assert isinstance(failed, FailedRendition)
    assert failed.code == "INTERNAL"


async def test_memory_for_renditions_is_held_only_while_a_decoder_has_the_image() -> None:
    """And then until they are stored, if there are any. An image that waits for its own memory holds none."""
    preset = RenditionPreset(64, 64, "contain", "JPEG", 80)
    renditions = ByteBudget(1_000)
    async with open_pool(presets={"one": preset}) as pool:
        with renditions.reserve(900) as memory:
            async with pool._budget.reserve(BUDGET):
                running = asyncio.create_task(pool.inspect(b"charge 16", "", ("one",), memory))
                await wait_for(lambda: bool(pool._budget._waiting), "the image waits")
                assert renditions.free == 1_000
            await running
            assert renditions.free == 100
        assert renditions.free == 1_000
        with renditions.reserve(900) as memory:
            await pool.inspect(b"fail-if-renditions", "", ("one",), memory)
            assert renditions.free == 1_000


async def test_expensive_images_do_not_stop_cheap_ones() -> None:
    """An image that takes long leaves the first decoder, at low priority. The first one is for cheap images."""
    async with open_pool(decoders=2) as pool:
        expensive = [asyncio.create_task(pool.inspect(SPIN)) for _ in range(3)]
        await wait_for(lambda: pool._lanes._expensive.claims.length == 2, "one runs, two wait")
        await pool.inspect(b"image")
        priorities = [os.getpriority(os.PRIO_PROCESS, pid) for pid in pids(pool)]
        assert priorities[1] == priorities[0] + 10
        for _ in range(20):
            await pool.inspect(b"image")
        assert not any(task.done() for task in expensive)
        for task in expensive:
            task.cancel()
        await asyncio.wait(expensive)


async def test_an_image_that_takes_longer_than_a_cheap_one_completes(pool: DecodePool) -> None:
    """It is examined again, by a decoder for expensive images."""
    blocked = asyncio.create_task(pool.inspect(b"cpu 1"))
    assert (await pool.inspect(b"cpu 1")).metadata.width == 640
    assert (await blocked).metadata.width == 640


async def test_a_decoder_that_hangs_up_is_killed(pool: DecodePool) -> None:
    """It closes its connection and goes on."""
    with pytest.raises(PermanentFailure):
        await pool.inspect(b"hang-up")


async def test_a_bug_of_ours_is_not_the_images_fault(pool: DecodePool) -> None:
    """The worker tries it again later. The traceback is in the log, with the request id."""
    with capture_logs() as logs:
        with pytest.raises(DecoderFault, match="RuntimeError"):
            await pool.inspect(b"fail", "the request")
        await wait_for(lambda: bool(logs), "a log line")
    assert "a bug" in logs[0]["text"]
    assert logs[0]["request_id"] == "the request"


async def test_warnings_are_logged_with_their_request_and_fail_nothing(pool: DecodePool) -> None:
    """Libraries write to standard error. A line is bounded."""
    with capture_logs() as logs:
        bodies = [b"image", b"warn " + b"x" * 60_000, b"image"]
        running = (pool.inspect(body, f"request {i}") for i, body in enumerate(bodies))
        assert len(await asyncio.gather(*running)) == 3
    assert [log["request_id"] for log in logs] == ["request 1"]
    assert logs[0]["text"] == "x" * 4_096


async def test_decoders_have_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their environment is our own list."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a secret")
    async with open_pool() as pool:
        names = await ask(pool, b"environment")
    assert "PYTHONPATH" in names
    assert "AWS" not in names


async def test_decoders_are_replaced_after_many_images(
    pool: DecodePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So their leaks are bounded."""
    monkeypatch.setattr(decode_pool, "_IMAGES_PER_DECODER", 5)
    assert [await ask(pool, b"images") for _ in range(7)] == ["1", "2", "3", "4", "5", "1", "2"]


async def test_a_worker_whose_decoders_do_not_start_says_so() -> None:
    """It does not take messages that it could not process."""
    opened = open_decode_pool(
        ImagePolicy(), decoders=2, budget_bytes=BUDGET, cpu_limit_s=1, examiner="missing:module"
    )
    with pytest.raises(ChildProcessError):
        async with opened:
            pass


@dataclass
class Recorded:
    """An isolation that records which images a decoder has, all in one list."""

    name: str
    log: list[str]

    def begin(self) -> None:
        self.log.append(f"{self.name} begins")

    def end(self) -> None:
        self.log.append(f"{self.name} ends")


async def test_isolated_images_run_one_at_a_time_in_fresh_decoders(pool: DecodePool) -> None:
    """So the death of this process has one possible reason. Other images go on beside them."""
    log: list[str] = []
    running = asyncio.gather(*(pool.inspect(b"cpu 0.001") for _ in range(50)))
    isolated = (pool.inspect(b"die-if-used SIGSEGV", isolation=Recorded(n, log)) for n in "abc")
    assert len(await asyncio.gather(*isolated)) == 3
    assert log == [f"{name} {event}" for name in "abc" for event in ("begins", "ends")]
    assert len(await running) == 50


@pytest.mark.parametrize("body", [b"die SIGSEGV", b"cpu 3600", b"charge 16"])
async def test_an_isolated_image_ends_as_others_do(body: bytes) -> None:
    """Each of its runs in a decoder is recorded until its end: two deaths, a limit, or the lane of expensive images."""
    log: list[str] = []
    async with open_pool(cpu_limit_s=0.5) as pool:
        with suppress(Crashed, DecodeLimit):
            await pool.inspect(body, isolation=Recorded("it", log))
    assert log == ["it begins", "it ends"] * 2
