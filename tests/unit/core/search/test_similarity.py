"""Similar hashes are found by the bands of the hash."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.search.similarity import (
    BAND_BITS,
    BANDS,
    HASH_BITS,
    MAX_DISTANCE,
    bands,
    candidates,
    distance,
)

hashes = st.integers(0, 2**HASH_BITS - 1).map("{:016x}".format)


@pytest.mark.parametrize(
    ("one", "other", "bits"),
    [
        ("0000000000000000", "0000000000000000", 0),
        ("0000000000000000", "0000000000000001", 1),
        ("0000000000000000", "8000000000000000", 1),
        ("ffffffffffffffff", "0000000000000000", 64),
        ("00ff00ff00ff00ff", "ff00ff00ff00ff00", 64),
        ("abcdefabcdefabcd", "ABCDEFABCDEFABCC", 1),
    ],
)
def test_the_distance_is_the_number_of_bits_that_differ(one: str, other: str, bits: int) -> None:
    """It is symmetric."""
    assert distance(one, other) == distance(other, one) == bits


def test_a_band_has_four_digits() -> None:
    """Bands are in the order of the digits."""
    assert bands("0001002003004000") == (0x0001, 0x0020, 0x0300, 0x4000)
    assert bands("ffff00008000abcd") == (0xFFFF, 0, 0x8000, 0xABCD)


@given(hashes)
def test_bands_have_all_bits_of_the_hash(perceptual_hash: str) -> None:
    """Joined, they are the hash."""
    assert "".join(f"{band:04x}" for band in bands(perceptual_hash)) == perceptual_hash


@pytest.mark.parametrize(
    ("max_distance", "count"),
    [(0, 1), (3, 1), (4, 17), (7, 17), (8, 137), (MAX_DISTANCE, 137), (12, 697)],
)
def test_the_number_of_candidates_of_a_band(max_distance: int, count: int) -> None:
    """It grows fast, so MAX_DISTANCE limits queries."""
    near = candidates("123456789abcdef0", max_distance)
    assert [len(values) for values in near] == [count] * BANDS
    assert all(0 <= value < 1 << BAND_BITS for values in near for value in values)


@given(hashes, st.integers(0, MAX_DISTANCE), st.data())
def test_every_hash_within_the_distance_has_a_candidate(
    perceptual_hash: str, max_distance: int, data: st.DataObject
) -> None:
    """Wherever the bits differ."""
    bits = data.draw(st.sets(st.integers(0, HASH_BITS - 1), max_size=max_distance))
    other = f"{int(perceptual_hash, 16) ^ sum(1 << bit for bit in bits):016x}"
    assert distance(perceptual_hash, other) == len(bits)
    near = candidates(perceptual_hash, max_distance)
    assert any(band in values for band, values in zip(bands(other), near, strict=True))
