"""The first message of a decoder process, its greeting."""

import os
import socket
from collections.abc import AsyncIterator

import pytest

from consumer.imaging.policy import ImagePolicy
from consumer.sandbox.decoder_process import DecoderEnded, DecoderProcess
from consumer.sandbox.protocol import Ready, Request, encode_answer
from core.errors import CorruptImage

POLICY = ImagePolicy()
REQUEST = Request(b"body", 1_000_000, cheap_only=True)
GREETING = encode_answer(Ready(("seccomp",)))
ANSWER = encode_answer(CorruptImage("damaged"))


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


async def test_it_may_arrive_together_with_the_first_answer(
    peer: tuple[DecoderProcess, socket.socket],
) -> None:
    """A new decoder may find a request at its start."""
    decoder, theirs = peer
    theirs.sendall(GREETING + ANSWER)
    answer = await decoder.finish(decoder.start(REQUEST, ""), POLICY)
    assert str(answer) == str(CorruptImage("damaged"))
    assert (await decoder.ready).protections == ("seccomp",)


@pytest.mark.parametrize(
    "sent",
    [GREETING + ANSWER + ANSWER, ANSWER, GREETING + ANSWER + b"\0"],
    ids=["two answers", "no greeting", "more bytes"],
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
