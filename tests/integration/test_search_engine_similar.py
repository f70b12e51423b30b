"""Every engine finds near-duplicates: all images within the distance, and no others."""

import pytest

from core.search.query import SearchQuery, Similar
from core.search.similarity import BAND_BITS, HASH_BITS, MAX_DISTANCE
from harness.search_documents import ACME, RIVAL, document, flipped
from harness.search_engines import Engine

MAX_FLIPPED_BITS = 16

ARRANGEMENTS = {
    "at the end": tuple(range(HASH_BITS)),
    "at the beginning": tuple(reversed(range(HASH_BITS))),
    # The bits are distributed evenly over the bands: the worst case for a search by an equal band.
    "spread over the bands": tuple(
        band * BAND_BITS + bit for bit in range(BAND_BITS) for band in range(HASH_BITS // BAND_BITS)
    ),
    "at scattered positions": tuple(bit * 27 % HASH_BITS for bit in range(HASH_BITS)),
}


@pytest.mark.parametrize(
    "perceptual_hash",
    [
        "0000000000000000",
        "ffffffffffffffff",
        "8000000000000000",
        "7fffffffffffffff",
        "c3a5f00d1234beef",
    ],
)
async def test_all_within_a_distance_are_found(engine: Engine, perceptual_hash: str) -> None:
    """Every allowed distance works, wherever the bits differ, including the sign bit of a 64-bit integer."""
    distances = {}
    for name, bits in ARRANGEMENTS.items():
        for count in range(MAX_FLIPPED_BITS + 1):
            image = document(
                image_id=f"{count} {name}", perceptual_hash=flipped(perceptual_hash, bits[:count])
            )
            await engine.writer.write([image])
            distances[image.image_id] = count
    opposite = document(perceptual_hash=flipped(perceptual_hash, range(HASH_BITS)))
    await engine.put(
        opposite, document(), document(customer_id=RIVAL, perceptual_hash=perceptual_hash)
    )
    for distance in range(MAX_DISTANCE + 1):
        query = SearchQuery(ACME, similar=Similar(perceptual_hash, distance))
        found = await engine.search(query)
        expected = {image: count for image, count in distances.items() if count <= distance}
        assert {hit.image_id: hit.distance for hit in found.hits} == expected, distance
        assert found.total == len(expected)
        assert [hit.distance for hit in found.hits] == sorted(expected.values())


async def test_an_image_without_a_hash_is_similar_to_nothing(engine: Engine) -> None:
    """An image that was not decoded has no hash. That is not the same as a hash of zeros."""
    blank = document(perceptual_hash="0" * 16)
    await engine.put(document(), blank)
    found = await engine.search(SearchQuery(ACME, similar=Similar("0" * 16, MAX_DISTANCE)))
    assert [hit.image_id for hit in found.hits] == [blank.image_id]
