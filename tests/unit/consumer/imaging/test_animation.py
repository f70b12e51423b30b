"""The duration of an animation is the sum of the delays of its frames."""

import struct
import zlib
from io import BytesIO

import pytest
from PIL import Image

from consumer.imaging.inspection import inspect
from consumer.imaging.policy import ImagePolicy
from consumer.imaging.result import Examination
from consumer.sandbox.decoder import examine_request
from consumer.sandbox.protocol import Request, decode_message, encode_answer
from core.model.image import ANIMATION_DURATION_MAX_MS
from harness.images import gradient_image, png_chunk, sample


def animation(kind: str, *delays_ms: int) -> bytes:
    """Return an animation with a frame of its own colour for each delay."""
    colors = [(40 * index, 90, 200 - 40 * index) for index in range(len(delays_ms))]
    frames = [Image.new("RGB", (20, 16), color) for color in colors]
    out = BytesIO()
    frames[0].save(
        out, kind, save_all=True, append_images=frames[1:], duration=list(delays_ms), loop=3
    )
    return out.getvalue()


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "AVIF"])
@pytest.mark.parametrize(
    ("delays_ms", "expected"),
    [((100, 250, 400), 750), ((10, 20), 30), ((60_000, 5_530), 65_530)],
)
def test_delays_are_added(kind: str, delays_ms: tuple[int, ...], expected: int) -> None:
    """In every format that has animations, without its repetitions."""
    metadata = inspect(animation(kind, *delays_ms), ImagePolicy()).metadata
    assert (metadata.frames, metadata.animation_duration_ms) == (len(delays_ms), expected)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_a_delay_of_zero_counts_as_100_ms(kind: str) -> None:
    """As long as browsers show it. libavif cannot encode it."""
    assert inspect(animation(kind, 0, 40), ImagePolicy()).metadata.animation_duration_ms == 140


@pytest.mark.parametrize("verification", ["full", "header"])
def test_the_duration_is_read_without_decoding(verification: str) -> None:
    """It comes from the structure, so a check of the header has it too."""
    policy = ImagePolicy(verification=verification)  # type: ignore[arg-type]
    assert inspect(sample("cat-animated.webp"), policy).metadata.animation_duration_ms > 0
    assert inspect(sample("rocket-animated.gif"), policy).metadata.animation_duration_ms > 0


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "AVIF", "TIFF", "BMP"])
def test_a_still_image_has_no_duration(kind: str) -> None:
    """Absent rather than zero in the contract."""
    assert inspect(gradient_image(kind), ImagePolicy()).metadata.animation_duration_ms == 0


def test_a_gif_of_one_frame_with_a_delay_is_a_still_image() -> None:
    """Encoders write a delay for a single frame too."""
    out = BytesIO()
    Image.new("L", (9, 9)).save(out, "GIF", duration=500)
    assert inspect(out.getvalue(), ImagePolicy()).metadata.animation_duration_ms == 0


def test_a_delay_is_that_of_the_next_frame_only() -> None:
    """GIF89a, section 23: a frame without a graphic control extension has no delay."""
    body = animation("GIF", 300, 300)
    second = body.rindex(b"\x21\xf9\x04")
    without = body[:second] + body[second + 8 :]
    assert inspect(without, ImagePolicy()).metadata.animation_duration_ms == 400


@pytest.mark.parametrize(("fraction", "expected"), [((1, 3), 667), ((5, 0), 100), ((1, 1000), 2)])
def test_a_delay_of_png_is_a_fraction_of_a_second(fraction: tuple[int, int], expected: int) -> None:
    """A denominator of zero means hundredths (PNG, third edition, 11.3.7.2)."""
    body = animation("PNG", 100, 100)
    at = 0
    while (at := body.find(b"fcTL", at)) > 0:
        control = body[at + 4 : at + 24] + struct.pack(">HH", *fraction) + body[at + 28 : at + 30]
        body = body[: at - 4] + png_chunk(b"fcTL", control) + body[at + 34 :]
        at += 4
    assert inspect(body, ImagePolicy()).metadata.animation_duration_ms == expected


def test_an_absurd_duration_is_bounded() -> None:
    """A table of sample times with 32-bit numbers allows more than a message can hold."""
    body = animation("AVIF", 100, 200)
    at = body.index(b"stts") + 8
    entries = int.from_bytes(body[at : at + 4], "big")
    longest = struct.pack(">II", 1, 0xFFFFFFFF) * entries
    body = body[: at + 4] + longest + body[at + 4 + len(longest) :]
    at = body.index(b"mdhd") + 4
    scale = at + (20 if body[at] else 12)
    body = body[:scale] + b"\x00\x00\x00\x01" + body[scale + 4 :]
    metadata = inspect(body, ImagePolicy()).metadata
    assert metadata.animation_duration_ms == ANIMATION_DURATION_MAX_MS


def test_the_worker_accepts_the_duration_of_the_longest_delays() -> None:
    """A valid PNG exceeds the bound of the contract: 500 frames of 65,535 seconds each."""
    frames = 500
    gray, pixel = b"\0\0\0\1\0\0\0\1\x08\0\0\0\0", zlib.compress(b"\0\x80")
    chunks = [png_chunk(b"IHDR", gray), png_chunk(b"acTL", struct.pack(">II", frames, 0))]
    for number in range(frames):
        sequence = max(0, 2 * number - 1)
        control = struct.pack(">IIIIIHHBB", sequence, 1, 1, 0, 0, 0xFFFF, 1, 0, 0)
        data = struct.pack(">I", sequence + 1) + pixel
        name, payload = (b"fdAT", data) if number else (b"IDAT", pixel)
        chunks += [png_chunk(b"fcTL", control), png_chunk(name, payload)]
    body = b"\x89PNG\r\n\x1a\n" + b"".join(chunks) + png_chunk(b"IEND", b"")
    request = Request(body, memory_bytes=1 << 30, cheap_only=False)
    message = encode_answer(examine_request(request, ImagePolicy()))
    answer = decode_message(message, request.expected, ImagePolicy()).answer
    assert isinstance(answer, Examination)
    assert answer.metadata.frames == frames
    assert answer.metadata.animation_duration_ms == ANIMATION_DURATION_MAX_MS
