from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consumer.imaging.inspection import inspect, probe
from consumer.imaging.policy import ImagePolicy
from core.errors import ImageFailure
from harness.images import IMAGES, jpeg_with_gps, png_with_location_text, tiff_with_gps

# A damaged image may cost nearly as much as a good one, so the limit is small.
POLICY = ImagePolicy(max_pixels=2_000_000, max_frames=50)
SEEDS = {
    **{path.name: path.read_bytes() for path in sorted(IMAGES.glob("*.*")) if path.suffix != ".md"},
    "jpeg gps": jpeg_with_gps(),
    "png text": png_with_location_text(),
    "tiff gps": tiff_with_gps(),
}

# Pillow warns about metadata that it skips. In production a warning is no error.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")
RELAXED = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])

Edits = list[tuple[float, int]]
EDITS = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=8)
HEAD_EDITS = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), min_size=1, max_size=8)


@pytest.mark.parametrize("name", SEEDS)
@RELAXED
@given(edits=EDITS, kept=st.floats(0, 1), tail=st.binary(max_size=32))
def test_damaged_bodies_end_as_failures(name: str, edits: Edits, kept: float, tail: bytes) -> None:
    """Flipped, cut and lengthened samples are inspected, or raise an ImageFailure."""
    body = bytearray(SEEDS[name])
    for where, value in edits:
        body[int(where * len(body))] = value
    with suppress(ImageFailure):
        inspect(bytes(body[: int(len(body) * max(kept, 0.01))]) + tail, POLICY)
    with suppress(ImageFailure):
        inspect(bytes(body) + tail, POLICY)


@pytest.mark.parametrize("name", SEEDS)
@RELAXED
@given(edits=HEAD_EDITS)
def test_damaged_headers_end_as_failures(name: str, edits: list[tuple[int, int]]) -> None:
    """The same for damage in lengths, offsets and sizes."""
    body = bytearray(SEEDS[name])
    for at, value in edits:
        body[min(at, len(body) - 1)] = value
    with suppress(ImageFailure):
        probe(bytes(body), POLICY)
        inspect(bytes(body), POLICY)


@RELAXED
@given(
    body=st.binary(max_size=256), prefix=st.sampled_from([b"", *(s[:16] for s in SEEDS.values())])
)
def test_any_bytes_end_as_failures(body: bytes, prefix: bytes) -> None:
    """Arbitrary bytes, also after a valid beginning, raise an ImageFailure."""
    with suppress(ImageFailure):
        inspect(prefix + body, POLICY)
