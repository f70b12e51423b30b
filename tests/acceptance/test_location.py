"""The location in an image is not published."""

from io import BytesIO

import aiohttp
import pytest
from PIL import Image

from harness.images import (
    jpeg_with_gps,
    jpeg_with_xmp_location,
    png_with_location_text,
    sample,
    tiff_with_gps,
)
from harness.located_images import NOT_REMOVABLE
from harness.origin import origin
from harness.system import System
from imageservice.v1 import image_service_pb2 as pb

LOCATED = {
    "exif.jpg": jpeg_with_gps(),
    "xmp.jpg": jpeg_with_xmp_location(),
    "text.png": png_with_location_text(),
    "palace.jpg": sample("palace-exif-location.jpg"),
    "flower.jpg": sample("flower-xmp-location.jpg"),
    "coffee.png": sample("coffee-text-location.png"),
    "gps.tiff": tiff_with_gps(),
}


@pytest.mark.parametrize("name", LOCATED)
async def test_a_location_is_removed_and_the_pixels_stay(running: System, name: str) -> None:
    """In EXIF, in XMP, in PNG text and in TIFF. The metadata reports that the image had a location."""
    async with origin(LOCATED) as images:
        request_id = await running.submit(f"{images.base}/bodies/{name}")
        image = (await running.wait_terminal([request_id]))[request_id].image
    async with aiohttp.ClientSession() as session, session.get(image.public_url) as answer:
        published = await answer.read()
    assert image.metadata.had_location
    assert list(image.metadata.removed) == [pb.REMOVED_PART_LOCATION]
    assert image.metadata.source_sha256 != image.metadata.sha256
    assert b"GPS" not in published
    with Image.open(BytesIO(published)) as after, Image.open(BytesIO(LOCATED[name])) as before:
        assert not after.getexif().get_ifd(0x8825)
        assert after.tobytes() == before.tobytes()


async def test_an_image_whose_location_cannot_be_removed_fails(running: System) -> None:
    """A location in a place that cannot be blanked is neither published nor re-encoded."""
    bodies = {"wide.tiff": NOT_REMOVABLE["tiff, xmp in UTF-16 outside its tag"]}
    async with origin(bodies) as images:
        request_id = await running.submit(f"{images.base}/bodies/wide.tiff")
        ended = (await running.wait_terminal([request_id]))[request_id]
    assert ended.failure.code == pb.FAILURE_CODE_LOCATION_NOT_REMOVABLE
