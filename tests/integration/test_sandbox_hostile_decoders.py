"""Decoders that an image has taken over, in the real pool: they reach nothing, and none of their answers does harm."""

import asyncio
import os
import struct
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from consumer.imaging.inspection import examine, inspect, probe
from consumer.imaging.policy import ImagePolicy
from consumer.imaging.result import Examination
from consumer.sandbox.decode_pool import DecodePool, open_decode_pool
from consumer.sandbox.protocol import CHEAP_BYTES, HEADER, Ready, encode_answer
from core.errors import CorruptImage, Crashed, DecodeLimit
from harness.attacks import ATTACKS, open_targets
from harness.hostile_examiner import SUCCEEDED, answer_bytes, attack, leak
from harness.images import gradient_image

pytestmark = pytest.mark.asyncio(loop_scope="module")

POLICY = ImagePolicy()
HEALTHY = gradient_image("JPEG")
RIGHT = inspect(HEALTHY, POLICY)
NEEDS_OPEN = {"send_from_open_socket", "write_to_open_file"}
"""A decoder has neither a datagram socket nor a file."""
FORK_SERVER = 0
MIB = 1024 * 1024


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pool() -> AsyncIterator[DecodePool]:
    async with open_decode_pool(
        POLICY,
        decoders=2,
        budget_bytes=64 * MIB,
        cpu_limit_s=20,
        examiner="harness.hostile_examiner:examine",
    ) as pool:
        yield pool


def changed(examination: Examination, old: bytes, new: bytes) -> bytes:
    """Return an answer with a part of its JSON object replaced."""
    message = encode_answer(examination)
    json_size, data_size = HEADER.unpack_from(message)
    members = message[HEADER.size : HEADER.size + json_size]
    assert old in members
    members = members.replace(old, new)
    return HEADER.pack(len(members), data_size) + members + message[HEADER.size + json_size :]


def message(members: bytes, data: bytes = b"") -> bytes:
    return HEADER.pack(len(members), len(data)) + members + data


EXAMINED = examine(HEALTHY, POLICY, probe(HEALTHY, POLICY))
VALID = encode_answer(EXAMINED)
ANSWERS = {
    "a length of 4 GiB": HEADER.pack(0xFFFFFFFF, 0),
    "data of 4 GiB": HEADER.pack(2, 0xFFFFFFFF) + b"{}",
    "no JSON": message(b"\x80\x04\x95pickle"),
    "no object": message(b"[1]"),
    "deep nesting": message(b"[" * 500_000),
    "no known member": message(b'{"x":1}'),
    "an unknown failure": message(b'{"failure":"NO_SUCH","detail":""}'),
    "a failure that is not a decoder's": message(b'{"failure":"NOT_FOUND","detail":""}'),
    "control characters": message(b'{"failure":"CORRUPT_IMAGE","detail":"\\u001b[2J\\n"}'),
    "a long text": message(b'{"failure":"CORRUPT_IMAGE","detail":"%s"}' % (b"x" * 5_000)),
    "another media type": changed(EXAMINED, b'"JPEG"', b'"text/html"'),
    "a negative width": changed(EXAMINED, b'"width":64', b'"width":-64'),
    "a boolean as width": changed(EXAMINED, b'"width":64', b'"width":true'),
    "a colour with markup": changed(
        EXAMINED, b'"dominant_color":"#', b'"dominant_color":"<script>#'
    ),
    "a capture time with markup": changed(EXAMINED, b'"capture_time":"', b'"capture_time":"<b>'),
    "an end beyond the body": changed(EXAMINED, b'"end":', b'"end":9'),
    "an edit beyond the end": changed(EXAMINED, b'"edits":[', b'"edits":[[0,999999,0]'),
    "edits that overlap": changed(EXAMINED, b'"edits":[', b'"edits":[[5,9,0],[4,6,0]'),
    "an edit with bytes that are missing": changed(EXAMINED, b'"edits":[', b'"edits":[[0,1,77]'),
    "data without an edit": VALID[:4] + struct.pack("!I", 3) + VALID[8:] + b"abc",
    "two answers": VALID + VALID,
    "an answer and a byte": VALID + b"\0",
    "a second greeting": encode_answer(Ready(("seccomp",))),
}


@pytest.mark.skipif(sys.platform != "linux", reason="macOS has resource limits only")
@pytest.mark.parametrize("parent", [FORK_SERVER, os.getpid()], ids=["fork server", "worker"])
async def test_no_attack_succeeds(pool: DecodePool, parent: int, tmp_path: Path) -> None:
    sibling = pool._lanes.slots[1].decoder
    assert sibling is not None
    outcomes = {}
    with open_targets(tmp_path, parent, sibling.pid) as targets:
        for name in ATTACKS.keys() - NEEDS_OPEN:
            with pytest.raises(CorruptImage) as told:
                await pool.inspect(attack(name, targets))
            outcomes[name] = told.value.detail
    assert SUCCEEDED not in outcomes.values(), outcomes
    assert await pool.inspect(HEALTHY) == RIGHT


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the memory of a process")
@pytest.mark.parametrize("lane", ["cheap", "expensive"])
async def test_a_decoder_cannot_take_more_memory_than_its_image_is_charged(
    pool: DecodePool, lane: str, tmp_path: Path
) -> None:
    """The limit for each image is out of its reach. The hard limit of the other decoders is the whole budget."""
    padding = b" " * (CHEAP_BYTES if lane == "expensive" else 0)
    with open_targets(tmp_path, FORK_SERVER, FORK_SERVER) as targets:
        with pytest.raises(CorruptImage) as told:
            await pool.inspect(attack("raise_soft_memory_limit", targets) + padding)
        assert told.value.detail != SUCCEEDED
    with pytest.raises(DecodeLimit):
        await pool.inspect(leak(40 * MIB) + padding)
    assert await pool.inspect(HEALTHY) == RIGHT


@pytest.mark.parametrize("answer", ANSWERS)
async def test_a_malicious_answer_fails_its_image_alone(pool: DecodePool, answer: str) -> None:
    """The decoder is replaced, the image runs once more, and fails. The next image is examined as ever."""
    with pytest.raises(Crashed):
        await pool.inspect(answer_bytes(ANSWERS[answer], then="sleep"))
    assert await pool.inspect(HEALTHY) == RIGHT


async def test_a_decoder_that_exits_fails_its_image_alone(pool: DecodePool) -> None:
    with pytest.raises(Crashed):
        await pool.inspect(answer_bytes(then="exit"))
    assert await pool.inspect(HEALTHY) == RIGHT


async def test_a_decoder_that_never_answers_is_stopped(pool: DecodePool) -> None:
    """It has sent a part of an answer, and uses no CPU time."""
    with pytest.raises(DecodeLimit):
        await pool.inspect(answer_bytes(VALID[:10], then="sleep"))
    assert await pool.inspect(HEALTHY) == RIGHT


@pytest.mark.parametrize("stream", [1, 2])
async def test_output_of_a_decoder_is_no_log_of_the_worker(
    pool: DecodePool, stream: int, capfd: pytest.CaptureFixture[str]
) -> None:
    """A forged line of the log appears as a text inside a line, if at all."""
    forged = b'{"event": "forged", "level": "error"}\n'
    with pytest.raises(CorruptImage, match="obeyed"):
        await pool.inspect(answer_bytes(forged * 10_000, stream=stream))
    assert await pool.inspect(HEALTHY) == RIGHT
    out, err = await asyncio.to_thread(capfd.readouterr)
    assert forged.decode() not in (out + err).splitlines(keepends=True)
