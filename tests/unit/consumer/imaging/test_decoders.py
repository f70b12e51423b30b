from io import BytesIO

import pytest
from PIL import Image

from consumer.imaging.formats import AVIF, WEBP
from consumer.imaging.pillow import open_image
from harness.images import sample

SAMPLES = {"coffee.webp": WEBP, "cat-animated.webp": WEBP, "cat.avif": AVIF}


@pytest.mark.parametrize("name", SAMPLES)
def test_frames_without_copies_are_those_of_pillow(name: str) -> None:
    """Each frame has the pixels that Pillow's plug-in gives."""
    body = sample(name)
    with Image.open(BytesIO(body)) as expected, open_image(SAMPLES[name], body) as image:
        frames = getattr(expected, "n_frames", 1)
        for index in range(frames):
            expected.seek(index)
            image.seek(index)
            image.load()
            assert image.convert("RGBA").tobytes() == expected.convert("RGBA").tobytes()
