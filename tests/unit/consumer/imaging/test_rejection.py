from collections.abc import Callable
from io import BytesIO
from typing import Literal

import pytest
from PIL import Image

from consumer.imaging.inspection import inspect
from consumer.imaging.policy import ImagePolicy
from core.errors import LocationNotRemovable
from harness.images import (
    exif_block,
    gradient_image,
    iptc_dataset,
    photoshop_resource,
    tiff_with_gps,
    xmp_packet,
)

EXIF = b"Exif\0\0"
CITY = photoshop_resource(0x0404, iptc_dataset(90, b"Berlin"))


def tiff_with(tag: int, value: object) -> bytes:
    out = BytesIO()
    Image.new("L", (16, 16)).save(out, "TIFF", tiffinfo={tag: value})
    return out.getvalue()


def saved(kind: str, **extra: bytes) -> Callable[[], bytes]:
    def save() -> bytes:
        out = BytesIO()
        Image.new("RGB", (32, 32)).save(out, kind, **extra)
        return out.getvalue()

    return save


NOT_REMOVABLE = {
    "tiff gps": tiff_with_gps,
    "tiff xmp": lambda: tiff_with(700, xmp_packet()),
    "tiff iptc": lambda: tiff_with(33723, iptc_dataset(90, b"Berlin")),
    "tiff image resources": lambda: tiff_with(34377, CITY),
    "geotiff": lambda: tiff_with(33922, (0.0, 0.0, 0.0, 13.4, 52.5, 0.0)),
    "avif exif": saved("AVIF", exif=EXIF + exif_block()),
    "avif exif with orientation": saved("AVIF", exif=EXIF + exif_block(orientation=6)),
    "avif xmp": saved("AVIF", xmp=xmp_packet()),
    "gif xmp": lambda: (
        gradient_image("GIF")[:-1]
        + b"!\xff\x0bXMP DataXMP"
        + xmp_packet()
        + _gif_magic_trailer()
        + b";"
    ),
}


def _gif_magic_trailer() -> bytes:
    """Return the trailer that resynchronises a reader of sub-blocks (XMP specification, part 3, 1.1.2)."""
    return b"\x01" + bytes(range(255, -1, -1)) + b"\0"


@pytest.mark.parametrize("body", NOT_REMOVABLE.values(), ids=NOT_REMOVABLE.keys())
@pytest.mark.parametrize("mode", ["draft", "header"])
def test_a_location_that_cannot_be_removed_fails_the_image(
    body: Callable[[], bytes], mode: Literal["draft", "header"]
) -> None:
    """TIFF, AVIF and GIF with a location are LOCATION_NOT_REMOVABLE under every verification."""
    with pytest.raises(LocationNotRemovable):
        inspect(body(), ImagePolicy(verification=mode))
