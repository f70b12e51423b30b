"""Presets of renditions for tests, and a system that has them."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from harness.aws import RecordingAws
from harness.system import System, system
from imageservice.v1 import image_service_pb2 as pb

PRESETS = """
[presets.thumbnail]
longest_side = 100
format = "WEBP"
default_for = ["TIFF"]

[presets.card]
width = 80
height = 60
fit = "cover"
format = "JPEG"

[presets.avatar]
width = 64
height = 64
fit = "cover"
format = "AVIF"
"""


def presets_file(folder: Path, text: str = PRESETS) -> str:
    """Write a file of presets. Return its path."""
    file = folder / "renditions.toml"
    file.write_text(text)
    return str(file)


@asynccontextmanager
async def rendition_system(aws: RecordingAws, file: str, **settings: str) -> AsyncIterator[System]:
    """Run a server and a consumer that have this file of presets. `settings` are those of the consumer."""
    async with system(aws) as running:
        await running.start_server(RENDITIONS_FILE=file)
        await running.start_consumer(RENDITIONS_FILE=file, **settings)
        yield running


async def submit(running: System, url: str, *presets: str, **fields: Any) -> pb.ImageRequest:
    """Submit a URL with renditions. Return the request when it has ended."""
    message = pb.SubmitImageRequest(url=url, customer_id="acme", renditions=presets, **fields)
    async with running.stub() as stub:
        accepted = await stub.SubmitImage(message, timeout=30)
    return (await running.wait_terminal([accepted.request_id]))[accepted.request_id]


def by_preset(image: pb.Image) -> Mapping[str, pb.Rendition]:
    return {each.preset: each for each in image.renditions}
