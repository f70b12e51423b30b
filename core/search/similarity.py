"""Near-duplicates by perceptual hash: hashes that differ in few bits. Pure.

To compare a hash with every other one takes too long. Cut into four bands of 16 bits, two hashes that differ in `d`
bits differ in at most d // 4 bits in one of their bands; so looking up the few values near each band finds all of them,
and some others, which the full distance then tells apart (multi-index hashing: Norouzi, Punjani, Fleet, CVPR 2012).
"""

from collections.abc import Iterator
from itertools import combinations

HASH_BITS = 64
BANDS = 4
BAND_BITS = HASH_BITS // BANDS
MAX_DISTANCE = 11
"""Bits. Up to here a band is within 2 bits, which are 137 values; one bit more would make them 697 for each band."""


def bands(perceptual_hash: str) -> tuple[int, ...]:
    """The bands of a hash of 16 hexadecimal digits, the first digits' first."""
    bits = int(perceptual_hash, 16)
    return tuple(
        bits >> shift & (1 << BAND_BITS) - 1
        for shift in range(HASH_BITS - BAND_BITS, -1, -BAND_BITS)
    )


def candidates(perceptual_hash: str, distance: int) -> tuple[frozenset[int], ...]:
    """For each band the values of which one at least is met by every hash within `distance` bits."""
    return tuple(frozenset(_near(band, distance // BANDS)) for band in bands(perceptual_hash))


def distance(one: str, other: str) -> int:
    """The bits in which two hashes differ."""
    return (int(one, 16) ^ int(other, 16)).bit_count()


def _near(band: int, radius: int) -> Iterator[int]:
    for flipped in range(radius + 1):
        for places in combinations(range(BAND_BITS), flipped):
            yield band ^ sum(1 << place for place in places)
