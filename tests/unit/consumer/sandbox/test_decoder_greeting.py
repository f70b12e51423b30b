"""The first message of a decoder process, its greeting."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from functools import partial

import pytest

from consumer.imaging.policy import ImagePolicy
from consumer.sandbox.decoder_process import DecoderEnded, DecoderProcess
from consumer.sandbox.protocol import Ready, Request, encode_answer, encode_request
from core.errors import CorruptImage

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
        ours, warnings, on_warning=lambda _text, _request: None, kill=lambda: decoder.end(None)
    )
    yield decoder, theirs
    theirs.close()
    os.close(stderr)
    if not decoder.ended:
        decoder.end(0)


@pytest.mark.parametrize("greets_first", [False, True])
async def test_requests_are_sent_after_it(
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
async def test_anything_else_ends_the_decoder(
    peer: tuple[DecoderProcess, socket.socket], sent: bytes
) -> None:
    decoder, theirs = peer
    theirs.sendall(sent)
    with pytest.raises(DecoderEnded):
        await decoder.finish(decoder.start(REQUEST, ""), POLICY)


async def test_a_worker_that_stops_during_the_start_ends_the_decoder(
    peer: tuple[DecoderProcess, socket.socket],
) -> None:
    """The wait for the greeting was cancelled. The pool then ends all decoders."""
    decoder, _ = peer
    decoder.ready.cancel()
    decoder.end(None)
    assert decoder.ended
