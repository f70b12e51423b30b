"""GIF and WebP animations, and AVIF files with repeated frames."""

import struct
from io import BytesIO

from PIL import Image

from harness.images import riff_chunk

_GIF_FRAME = b"\x02\x02\x4c\x01\x00"
"""One pixel: code size 2, and the codes clear, 1 and end of three bits each."""


def gif_of_pixels(width: int, height: int, frames: int) -> bytes:
    """Return an animation of frames of one pixel. Each is restored to the background of the whole canvas."""
    sides = struct.pack("<HH", width, height)
    control = b"\x21\xf9\x04\x09\x0a\x00\x00\x00"
    frame = control + b"\x2c" + bytes(4) + b"\1\0\1\0\0" + _GIF_FRAME
    return b"GIF89a" + sides + b"\x81\0\0" + bytes(12) + frame * frames + b";"


def pillow_animation(kind: str, side: int, frames: int, **options: object) -> bytes:
    """Return an animation of full frames. No frame equals the one before it."""
    mode = "P" if kind == "GIF" else "RGBA"
    images = []
    for number in range(frames):
        image = Image.linear_gradient("L").resize((side, side)).rotate(number % 360)
        images.append(image.convert("RGBA").convert(mode))
    out = BytesIO()
    images[0].save(out, kind, save_all=True, append_images=images[1:], **options)
    return out.getvalue()


def webp_of_pixels(width: int, height: int, frames: int) -> bytes:
    """Return an animation (RFC 9649, section 2.7.1.1) of frames of one pixel, which restore the background."""
    pixel = BytesIO()
    Image.new("RGBA", (1, 1), (9, 9, 9, 99)).save(pixel, "WEBP", lossless=True)
    still = pixel.getvalue()
    coded = still[still.index(b"VP8L") :]
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    frame = riff_chunk(b"ANMF", bytes(12) + b"\x64\0\0\1" + coded)
    parts = riff_chunk(b"VP8X", b"\x12\0\0\0" + sides) + riff_chunk(b"ANIM", bytes(6))
    parts += frame * frames
    return b"RIFF" + struct.pack("<I", len(parts) + 4) + b"WEBP" + parts


def avif_repeated(side: int, repeats: int) -> bytes:
    """Return an AVIF whose item holds its key frame `repeats` times."""
    out = BytesIO()
    Image.linear_gradient("L").resize((side, side)).convert("RGB").save(
        out, "AVIF", quality=30, speed=10
    )
    body = bytearray(out.getvalue())
    mdat = body.rindex(b"mdat") - 4
    item = bytes(body[mdat + 8 :])
    iloc = body.index(b"iloc")
    length = body.index(struct.pack(">I", len(item)), iloc)
    body[length : length + 4] = struct.pack(">I", len(item) * repeats)
    body[mdat : mdat + 4] = struct.pack(">I", 8 + len(item) * repeats)
    return bytes(body[: mdat + 8]) + item * repeats
