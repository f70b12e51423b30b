"""Damage inside the scans of a JPEG is found; oddities of its header are no damage."""

import struct
import subprocess
import sys
from io import BytesIO

import numpy as np
import pytest
import simplejpeg
from PIL import Image, ImageChops

from consumer.imaging.decode import decode_first_frame
from consumer.imaging.formats import JPEG
from consumer.imaging.inspection import inspect
from consumer.imaging.policy import ImagePolicy, Verification
from consumer.imaging.structure.jpeg import read_structure
from core.errors import CorruptImage, UnsupportedFormat
from harness.images import gradient_image, jpeg_segment, jpeg_with, sample

MODES: list[Verification] = ["draft", "full"]
ENCODINGS = ["sequential", "progressive", "restarts", "gray", "cmyk"]
SUBSAMPLINGS = ["444", "422", "420", "440", "411"]
DAMAGES = ["cut", "zeroed", "missing"]
FRAME = b"\xff\xc0\x00\x11\x08"
SCAN = b"\xff\xda"


def photograph() -> Image.Image:
    with Image.open(BytesIO(sample("astronaut.png"))) as image:
        return image.convert("RGB").resize((480, 360))


def encoded(encoding: str) -> bytes:
    mode = {"gray": "L", "cmyk": "CMYK"}.get(encoding, "RGB")
    out = BytesIO()
    photograph().convert(mode).save(
        out,
        "JPEG",
        quality=90,
        progressive=encoding == "progressive",
        restart_marker_blocks=7 if encoding == "restarts" else 0,
    )
    return out.getvalue()


def damaged(body: bytes, damage: str) -> bytes:
    """Damage the middle of the entropy-coded data. The structure stays complete."""
    middle = len(body) // 2
    if damage == "cut":
        return body[:middle] + b"\xff\xd9"
    return body[:middle] + bytes(1000 if damage == "zeroed" else 0) + body[middle + 1000 :]


def subsampled_4_1_0() -> bytes:
    """Return a gray square of 32 x 16 pixels, whose luminance has four times two blocks for one of each chrominance."""
    out = BytesIO()
    Image.new("RGB", (32, 16), "gray").save(out, "JPEG", subsampling=0)
    body = out.getvalue()
    luma = body.index(FRAME) + 11
    scan = body.index(SCAN) + 14
    # A block of zeros is 00 1010 in the luminance tables, and 00 00 in the chrominance tables (T.81, annex K).
    bits = "001010" * 8 + "0000" * 2
    data = int(bits, 2).to_bytes(len(bits) // 8)
    return body[:luma] + b"\x42" + body[luma + 1 : scan] + data + b"\xff\xd9"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_damage_inside_a_scan_is_corrupt(encoding: str, damage: str, mode: Verification) -> None:
    with pytest.raises(CorruptImage):
        inspect(damaged(encoded(encoding), damage), ImagePolicy(verification=mode))


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_pixels_are_those_of_pillow(encoding: str) -> None:
    """Every kind of JPEG gives the mode and the pixels that Pillow gives, in full and at an eighth of the size."""
    body = encoded(encoding)
    structure = read_structure(body)
    for least in (None, (60, 45)):
        with Image.open(BytesIO(body)) as expected:
            if least is not None:
                expected.draft(None, least)
            mode = expected.mode
            decoded = decode_first_frame(JPEG, body, structure, least).convert(mode)
            assert structure.mode == mode
            assert decoded.size == expected.size
            levels = ImageChops.difference(decoded, expected.convert(mode)).histogram()
            assert max(at % 256 for at, count in enumerate(levels) if count) <= 2


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("subsampling", [*SUBSAMPLINGS, "410"])
def test_every_subsampling_is_decoded(subsampling: str, mode: Verification) -> None:
    """libjpeg-turbo decodes the common ones, Pillow the others."""
    pixels = np.ascontiguousarray(photograph())
    body = (
        subsampled_4_1_0()
        if subsampling == "410"
        else simplejpeg.encode_jpeg(pixels, colorsubsampling=subsampling)
    )
    assert inspect(body, ImagePolicy(verification=mode)).metadata.mode == "RGB"


def odd_headers() -> dict[str, bytes]:
    body = encoded("sequential")
    quantization, scan = body.index(b"\xff\xdb"), body.index(SCAN)
    adobe = b"Adobe\x00\x64\x00\x00\x00\x00"
    jfif = body[: body.index(b"JFIF")] + b"JFIF\0\2" + body[body.index(b"JFIF") + 6 :]
    return {
        "stray bytes": body[:quantization] + b"\0\xff\0stray" + body[quantization:],
        "stray bytes before the scan": body[:scan] + bytes(9) + body[scan:],
        "fill bytes": body[:quantization] + b"\xff\xff\xff" + body[quantization:],
        "restart marker": body[:quantization] + b"\xff\xd3" + body[quantization:],
        "version 2 of JFIF": jfif,
        "unknown Adobe transformation": jpeg_with(jpeg_segment(0xEE, adobe + b"\x07"), body=body),
        "short Adobe segment": jpeg_with(jpeg_segment(0xEE, adobe), body=body),
        "bad colour profile": jpeg_with(jpeg_segment(0xE2, b"ICC_PROFILE\0\x05\x02x"), body=body),
        "bad EXIF": jpeg_with(jpeg_segment(0xE1, b"Exif\0\0MM\0*\xff\xff\xff\xff"), body=body),
        "empty EXIF": jpeg_with(jpeg_segment(0xE1, b"Exif\0\0"), body=body),
        "parameters of a progressive scan": body[: scan + 11] + b"\x00\x00\x00" + body[scan + 14 :],
    }


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("oddity", odd_headers())
def test_an_odd_header_is_no_damage(oddity: str, mode: Verification) -> None:
    """Readers ignore these. The image completes, and its bytes stay as they are."""
    body = odd_headers()[oddity]
    policy = ImagePolicy(verification=mode)
    inspected = inspect(body, policy)
    plain = inspect(encoded("sequential"), policy).metadata
    assert inspected.body == body
    assert inspected.metadata.perceptual_hash == plain.perceptual_hash


@pytest.mark.parametrize("oddity", odd_headers())
def test_an_odd_header_hides_no_damage(oddity: str) -> None:
    with pytest.raises(CorruptImage):
        inspect(damaged(odd_headers()[oddity], "cut"), ImagePolicy())


@pytest.mark.parametrize("marker", [b"", b"\xff\xd0"])
def test_stray_bytes_after_a_scan_are_damage(marker: bytes) -> None:
    """libjpeg-turbo then has decoded less than there is."""
    body = encoded("progressive")
    second_scan = body.index(SCAN, body.index(SCAN) + 2)
    with pytest.raises(CorruptImage):
        inspect(body[:second_scan] + marker + b"stray" + body[second_scan:], ImagePolicy())


def variants() -> dict[str, bytes]:
    body = gradient_image("JPEG")
    frame = body.index(FRAME)

    def with_frame(marker: int = 0xC0, precision: int = 8) -> bytes:
        return body[: frame + 1] + bytes((marker, 0, 17, precision)) + body[frame + 5 :]

    two_components = (
        b"\x00\x0e" + body[frame + 4 : frame + 9] + b"\x02" + body[frame + 10 : frame + 16]
    )
    no_height = body[: frame + 5] + b"\0\0" + body[frame + 7 : -2]
    wide = body[: frame + 5] + b"\x00\x01\xff\xf0" + body[frame + 9 :]
    return {
        "12 bits": with_frame(0xC1, 12),
        "lossless": with_frame(0xC3),
        "hierarchical": body[:frame]
        + jpeg_segment(0xDE, body[frame + 4 : frame + 19])
        + body[frame:],
        "JPEG-LS": with_frame(0xF7),
        "2 components": body[: frame + 2] + two_components + body[frame + 19 :],
        "height after the first scan": no_height + jpeg_segment(0xDC, b"\0\x30") + b"\xff\xd9",
        "65,500": wide,
    }


@pytest.mark.parametrize("name", variants())
def test_a_variant_that_browsers_lack_is_unsupported(name: str) -> None:
    """It is named, and never called corrupt."""
    with pytest.raises(UnsupportedFormat, match=name):
        inspect(variants()[name], ImagePolicy())


def test_a_variant_inside_a_scan_is_damage() -> None:
    """Damaged entropy-coded data may resemble a frame header of another variant."""
    body = encoded("sequential")
    middle = len(body) // 2
    with pytest.raises(CorruptImage):
        inspect(body[:middle] + jpeg_segment(0xF7, b"") + body[middle:], ImagePolicy())


def test_an_image_inside_the_image_is_corrupt() -> None:
    """Decoders stop at a second start marker."""
    body = gradient_image("JPEG")
    with pytest.raises(CorruptImage):
        inspect(body[:2] + body, ImagePolicy())


def test_a_component_without_a_scan_is_corrupt() -> None:
    body = gradient_image("JPEG")
    last_component = body.index(FRAME) + 16
    with pytest.raises(CorruptImage, match="scan"):
        inspect(body[:last_component] + b"\x09" + body[last_component + 1 :], ImagePolicy())


def test_text_in_place_of_a_pointer_in_exif_is_harmless() -> None:
    """It points to no directory, however long it is. ExifIFD has type ASCII here, with 100 characters."""
    entry = struct.pack("<HHII", 0x8769, 2, 100, 26)
    block = b"II*\0" + struct.pack("<IH", 8, 1) + entry + bytes(4) + b"x" * 100
    body = jpeg_with(jpeg_segment(0xE1, b"Exif\0\0" + block))
    assert inspect(body, ImagePolicy()).body == body


LIMITED = """
import resource, sys
from pathlib import Path
from consumer.imaging.inspection import inspect
from consumer.imaging.policy import ImagePolicy
body = sys.stdin.buffer.read()
used = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmData"))
limit = int(used.split()[1]) * 1024 + 2_000_000
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
try:
    inspect(body, ImagePolicy())
except MemoryError:
    print("out of memory")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits allocated memory")
def test_missing_memory_is_no_damage() -> None:
    """libjpeg-turbo reports it like damage."""
    out = BytesIO()
    Image.new("RGB", (3000, 3000)).save(out, "JPEG", progressive=True, subsampling=0)
    command = [sys.executable, "-c", LIMITED]
    ended = subprocess.run(command, input=out.getvalue(), capture_output=True, check=True)
    assert ended.stdout == b"out of memory\n"
