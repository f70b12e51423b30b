"""Finds near-duplicates by perceptual hash: hashes that differ in few bits. Pure.

Comparing a hash with all others takes too long. So each hash is split into four bands of 16 bits. Two hashes that
differ in `d` bits differ in at most d // 4 bits in one of the bands. A lookup of the values near each band finds all
similar hashes and some others, which the full distance then excludes (multi-index hashing: Norouzi, Punjani, Fleet,
CVPR 2012).
"""

from collections.abc import Iterator
from itertools import combinations

HASH_BITS = 64
BANDS = 4
BAND_BITS = HASH_BITS // BANDS
MAX_DISTANCE = 11
"""Bits. Up to here each band needs a lookup of 137 values (2 bits); one bit more would need 697."""


def bands(perceptual_hash: str) -> tuple[int, ...]:
    """Return the bands of a hash of 16 hexadecimal digits, most significant first."""
    bits = int(perceptual_hash, 16)
    return tuple(
        bits >> shift & (1 << BAND_BITS) - 1
        for shift in range(HASH_BITS - BAND_BITS, -1, -BAND_BITS)
    )


def candidates(perceptual_hash: str, distance: int) -> tuple[frozenset[int], ...]:
    """Return values for each band; every hash within `distance` bits has one of them in at least one band."""
    return tuple(
        frozenset(_values_near(band, distance // BANDS)) for band in bands(perceptual_hash)
    )


def distance(one: str, other: str) -> int:
    """Return the number of bits in which two hashes differ."""
    return (int(one, 16) ^ int(other, 16)).bit_count()


def _values_near(band: int, radius: int) -> Iterator[int]:
    for flipped in range(radius + 1):
        for places in combinations(range(BAND_BITS), flipped):
            yield band ^ sum(1 << place for place in places)
