"""The worker's end of a decoder process: the greeting, and answers of any size."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator
from functools import partial

import pytest

from consumer.imaging.policy import ImagePolicy
from consumer.imaging.result import Examination
from consumer.sandbox.decoder_process import DecoderProcess
from consumer.sandbox.protocol import Ready, Request, encode_answer, encode_request
from consumer.sandbox.run_plan import DecoderEnded, ForkServerEnded, NotForked, NotStarted
from core.errors import CorruptImage
from harness.image_metadata import METADATA, as_examined
from harness.waiting import wait_for

POLICY = ImagePolicy()
REQUEST = Request(b"body", 1_000_000, cheap_only=True)
GREETING = encode_answer(Ready(("seccomp",)))
ANSWER = encode_answer(CorruptImage("damaged"))
ENDED_PID = 1 << 30
"""Above each process id."""


@pytest.fixture
async def peer() -> AsyncIterator[tuple[DecoderProcess, socket.socket]]:
    """A decoder process, and the end of its connection at which the process would be."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    warnings, stderr = os.pipe()
    os.set_blocking(warnings, False)
    decoder = DecoderProcess(
        ours, warnings, on_warning=lambda _text, _request: None, kill=lambda: decoder.end(0)
    )
    yield decoder, theirs
    theirs.close()
    os.close(stderr)
    if not decoder.ended:
        decoder.end(0)


@pytest.mark.parametrize("greets_first", [False, True])
async def test_requests_are_sent_after_the_greeting(
    peer: tuple[DecoderProcess, socket.socket], greets_first: bool
) -> None:
    """And when the process id is known: only then can the memory of the process be limited from outside."""
    decoder, theirs = peer
    exam = decoder.start(REQUEST, "")
    greet = partial(theirs.sendall, GREETING)
    begin = partial(decoder.begin, ENDED_PID)
    for step in (greet, begin) if greets_first else (begin, greet):
        with pytest.raises(BlockingIOError):
            theirs.recv(1)
        step()
        await asyncio.sleep(0)
    assert "seccomp" in await decoder.ready
    assert len(theirs.recv(1_000)) == sum(map(len, encode_request(REQUEST)))
    theirs.sendall(ANSWER)
    assert str(await decoder.finish(exam, POLICY)) == str(CorruptImage("damaged"))


@pytest.mark.parametrize(
    "sent",
    [GREETING + ANSWER, ANSWER, GREETING + b"\0"],
    ids=["an answer before its request", "no greeting", "more bytes"],
)
async def test_anything_but_a_greeting_ends_the_decoder(
    peer: tuple[DecoderProcess, socket.socket], sent: bytes
) -> None:
    decoder, theirs = peer
    theirs.sendall(sent)
    with pytest.raises(DecoderEnded):
        await decoder.finish(decoder.start(REQUEST, ""), POLICY)


ENDS = [1, -signal.SIGKILL, -signal.SIGSEGV, ForkServerEnded()]


@pytest.mark.parametrize("end", ENDS, ids=str)
async def test_a_decoder_that_ends_before_its_greeting_has_examined_nothing(
    peer: tuple[DecoderProcess, socket.socket], end: int | DecoderEnded
) -> None:
    """So its death does not count for the image that waits for it."""
    decoder, _ = peer
    exam = decoder.start(REQUEST, "")
    decoder.begin(ENDED_PID)
    decoder.end(end)
    with pytest.raises(NotStarted):
        await decoder.finish(exam, POLICY)


@pytest.mark.parametrize("end", ENDS, ids=str)
async def test_a_decoder_that_ends_after_its_greeting_has_examined_nothing_without_an_image(
    peer: tuple[DecoderProcess, socket.socket], end: int | DecoderEnded
) -> None:
    """An isolated image is given to it only then."""
    decoder, theirs = peer
    theirs.sendall(GREETING)
    decoder.begin(ENDED_PID)
    await decoder.ready
    decoder.end(end)
    with pytest.raises(NotStarted):
        await decoder.finish(decoder.start(REQUEST, ""), POLICY)


async def test_a_decoder_that_ends_with_an_image_counts_for_it(
    peer: tuple[DecoderProcess, socket.socket],
) -> None:
    decoder, theirs = peer
    theirs.sendall(GREETING)
    decoder.begin(ENDED_PID)
    await decoder.ready
    exam = decoder.start(REQUEST, "")
    decoder.end(-signal.SIGSEGV)
    with pytest.raises(DecoderEnded) as ended:
        await decoder.finish(exam, POLICY)
    assert ended.value.attributable


async def test_a_refused_fork_is_told_apart(peer: tuple[DecoderProcess, socket.socket]) -> None:
    """It is not tried again at once."""
    decoder, _ = peer
    exam = decoder.start(REQUEST, "")
    decoder.end(NotForked(11))
    with pytest.raises(NotForked):
        await decoder.finish(exam, POLICY)


async def test_a_worker_that_stops_during_the_start_ends_the_decoder(
    peer: tuple[DecoderProcess, socket.socket],
) -> None:
    """The wait for the greeting was cancelled. The pool then ends all decoders."""
    decoder, _ = peer
    decoder.ready.cancel()
    decoder.end(0)
    assert decoder.ended


async def test_the_last_answer_of_a_process_counts_whatever_its_size(
    peer: tuple[DecoderProcess, socket.socket],
) -> None:
    """It is many reads long, and the end of the process is reported before the worker has read any."""
    decoder, theirs = peer
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    theirs.sendall(GREETING)
    decoder.begin(ENDED_PID)
    await decoder.ready
    exam = decoder.start(Request(bytes(200_000), 1_000_000, cheap_only=True), "")
    examination = Examination(as_examined(METADATA), ((0, 9, bytes(150_000)),), 200_000)
    theirs.sendall(encode_answer(examination))
    decoder.end(1)
    assert await decoder.finish(exam, POLICY) == examination


async def test_a_retired_decoder_answers_every_image_that_it_holds(
    peer: tuple[DecoderProcess, socket.socket],
) -> None:
    """Also if the last of them is cancelled."""
    decoder, theirs = peer
    theirs.sendall(GREETING)
    decoder.begin(ENDED_PID)
    await decoder.ready
    first, last = decoder.start(REQUEST, ""), decoder.start(REQUEST, "")
    decoder.retire()
    last.message.cancel()
    await asyncio.sleep(0)
    assert decoder.usable
    theirs.sendall(ANSWER)
    assert str(await decoder.finish(first, POLICY)) == str(CorruptImage("damaged"))
    assert not decoder.ended
    theirs.sendall(ANSWER)
    await wait_for(lambda: decoder.ended)
