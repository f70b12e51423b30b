"""Tracks of anything else than images and sound are removed from AVIF and HEIC."""

import pytest

from consumer.imaging.inspection import inspect
from consumer.imaging.policy import ImagePolicy
from core.errors import CorruptImage
from harness.heic_files import box, heic
from harness.images import gradient_image, sample
from harness.located_iso import LATITUDE, track, with_canon_box, with_track

POLICY = ImagePolicy()
AVIF = gradient_image("AVIF")


@pytest.mark.parametrize("body", [with_track(AVIF), with_track(heic())], ids=["avif", "heic"])
def test_positions_are_removed_with_their_track(body: bytes) -> None:
    """The samples are zeroed too, not only made unreachable."""
    assert LATITUDE in body
    result = inspect(body, POLICY)
    assert result.metadata.had_location
    assert LATITUDE not in result.body
    assert b"camm" not in result.body


@pytest.mark.parametrize("handler", [b"pict", b"vide", b"auxv", b"soun"])
def test_tracks_of_images_and_sound_are_kept(handler: bytes) -> None:
    """They hold no positions."""
    body = with_track(AVIF, handler)
    assert inspect(body, POLICY).body is body


def test_samples_outside_the_media_data_are_kept() -> None:
    """A damaged table may point to the boxes of the image. The track itself is removed."""
    body = AVIF + box(b"moov", track(b"camm", 0, size=200))
    result = inspect(body, POLICY)
    assert result.metadata.had_location
    assert result.body[:200] == AVIF[:200]


def test_samples_that_overlap_often_are_corrupt() -> None:
    """Each is zeroed, and a table may name the same bytes again and again."""
    body = AVIF + box(b"moov", track(b"camm", AVIF.index(b"mdat") + 8, size=100, chunks=10_000))
    assert len(body) < 10_000 * 10
    with pytest.raises(CorruptImage, match="overlap"):
        inspect(body, POLICY)


def test_a_box_of_canon_without_positions_is_kept() -> None:
    """Other directories of the camera are no location."""
    body = with_canon_box(sample("cat.heic")).replace(b"CMT4", b"CMT3")
    assert not inspect(body, POLICY).metadata.had_location
