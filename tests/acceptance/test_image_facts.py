"""The facts of an image in the answers: its color, its duration, what was removed, and why it was refused."""

import aiohttp

from harness.images import gradient_image, jpeg_with_gps
from harness.origin import origin
from harness.system import System
from imageservice.v1 import image_service_pb2 as pb

STILL = gradient_image("JPEG")
VIDEO = b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom" + b"\x00\x00\x00\x08mdat"
BODIES = {
    "motion.jpg": jpeg_with_gps() + VIDEO,
    "still.jpg": STILL,
    "animation.png": gradient_image("PNG", frames=3),
    "photo.nef": b"II*\0\x10\0\0\0CR\x02\0" + bytes(32),
    "page.html": b"<html></html>",
}


async def test_callers_learn_the_facts_of_an_image(running: System) -> None:
    """By GetStatus, for images that are published and for those that are not."""
    async with origin(BODIES) as images:
        ids = {name: await running.submit(f"{images.base}/bodies/{name}") for name in BODIES}
        ended = await running.wait_terminal(list(ids.values()))
    results = {name: ended[request_id] for name, request_id in ids.items()}

    motion = results["motion.jpg"].image
    assert list(motion.metadata.removed) == [pb.REMOVED_PART_LOCATION, pb.REMOVED_PART_VIDEO]
    assert motion.metadata.source_sha256 != motion.metadata.sha256
    async with aiohttp.ClientSession() as session, session.get(motion.public_url) as answer:
        assert b"ftyp" not in await answer.read()

    still = results["still.jpg"].image.metadata
    assert not still.removed
    assert not still.HasField("animation_duration")
    assert still.color != pb.COLOR_UNSPECIFIED

    animation = results["animation.png"].image.metadata
    assert (animation.frames, animation.animation_duration.ToMilliseconds()) == (3, 300)

    assert results["photo.nef"].failure.code == pb.FAILURE_CODE_UNSUPPORTED_FORMAT
    assert "Canon CR2 camera raw; accepted are JPEG" in results["photo.nef"].failure.message
    assert results["page.html"].failure.code == pb.FAILURE_CODE_NOT_AN_IMAGE
    assert "accepted are JPEG, PNG" in results["page.html"].failure.message
