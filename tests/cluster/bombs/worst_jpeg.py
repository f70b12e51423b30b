"""JPEG files that take much time or memory for each byte."""

from io import BytesIO

from PIL import Image

from harness.images import gradient_image, jpeg_segment, jpeg_with, xmp_packet

_SOF2, _DHT, _DQT, _SOS, _APP1, _APP6 = 0xC2, 0xC4, 0xDB, 0xDA, 0xE1, 0xE6
_BANDS = 63
"""Coefficients of a block besides the first."""
_LONGEST_RUN = 0x7FFF
"""Blocks of one end-of-band run (ITU T.81, G.1.2.2)."""
_DC_TABLE = b"\x00" + bytes([1, *[0] * 15]) + b"\x00"
"""One code, a zero bit: no difference."""
_AC_TABLE = b"\x10" + bytes([0, 0, 0, 15, *[0] * 12]) + bytes(run << 4 for run in range(15))
"""Codes of four bits for end-of-band runs of each magnitude."""
_XMP_LABEL = b"http://ns.adobe.com/xap/1.0/\0"


def progressive(width: int, height: int, scans: int) -> bytes:
    """Return an image of one colour with `scans` scans, 4 to 190. Each passes over all blocks of a component."""
    sides = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    components = b"".join(bytes((number, 0x11, 0)) for number in (1, 2, 3))
    blocks = -(-width // 8) * -(-height // 8)
    band = _bits(_run_codes(blocks))
    parts = [
        b"\xff\xd8",
        jpeg_segment(_DQT, b"\0" + bytes([1] * 64)),
        jpeg_segment(_SOF2, b"\x08" + sides + b"\x03" + components),
        jpeg_segment(_DHT, _DC_TABLE + _AC_TABLE),
        jpeg_segment(_SOS, b"\x03\x01\x00\x02\x00\x03\x00" + bytes(3)),
        _bits(["0" * (3 * blocks)]),
    ]
    left = scans - 1
    for component in (1, 2, 3):
        # Every coefficient needs a scan, so each component that follows needs one scan at least.
        count = min(_BANDS, left - (3 - component))
        left -= count
        for first in range(1, count + 1):
            last = first if first < count else _BANDS
            parts += [jpeg_segment(_SOS, bytes((1, component, 0, first, last, 0))), band]
    return b"".join([*parts, b"\xff\xd9"])


def _run_codes(blocks: int) -> list[str]:
    codes = []
    while blocks:
        run = min(blocks, _LONGEST_RUN)
        magnitude = run.bit_length() - 1
        rest = run - (1 << magnitude)
        codes.append(f"{magnitude:04b}" + (f"{rest:0{magnitude}b}" if magnitude else ""))
        blocks -= run
    return codes


def _bits(codes: list[str]) -> bytes:
    text = "".join(codes)
    text += "1" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big").replace(b"\xff", b"\xff\0")


def cmyk(width: int, height: int) -> bytes:
    out = BytesIO()
    Image.new("CMYK", (width, height), (10, 60, 110, 160)).save(out, "JPEG")
    return out.getvalue()


def with_xmp(size: int) -> bytes:
    """Return a small image with `size` bytes of packets that nearly have a location."""
    packet = xmp_packet('a:b="' + "exif:GPSLatitud < rdf:Seq> 12.5 N " * 1_800 + '"')
    return _with_segments(_APP1, _XMP_LABEL + packet, size)


def with_long_names(size: int) -> bytes:
    """Return a small image with `size` bytes of packets that hold one long name, which repeats a location's."""
    packet = xmp_packet("").replace(b"</", b" " + b"gps" * 20_000 + b"</", 1)
    return _with_segments(_APP1, _XMP_LABEL + packet, size)


def with_telemetry(size: int) -> bytes:
    """Return a small image with `size` bytes of telemetry that repeats the key of a device and has no position."""
    return _with_segments(_APP6, b"GoPro\0" + b"DEVC" * 16_000, size)


def _with_segments(marker: int, payload: bytes, size: int) -> bytes:
    segment = jpeg_segment(marker, payload)
    return jpeg_with(*[segment] * (size // len(segment)), body=gradient_image())
