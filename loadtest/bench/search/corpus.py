"""Search documents by number, the same on every machine and in every run.

Three of ten images belong to one customer, the others to 49 customers unevenly. Words, cameras and hosts follow a
skewed distribution: few are frequent, most are rare. One image of twenty is a near-duplicate of another image of its
customer.
"""

import hashlib
import uuid
from functools import cache

from core.model.color import Color
from core.model.image import image_id_of
from core.model.request import FIRST_REVISION, next_revision
from core.search.document import SearchDocument

CUSTOMERS = 50
BIG_CUSTOMER = "bench"
"""Owns three of ten images. All rows of the null AWS belong to this customer."""
SPAN_MS = 3 * 365 * 86_400_000
FIRST_MS = 1_700_000_000_000

_OF_TEN, _BIG = 10, 3
_TWIN = 20
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "AVIF", "TIFF", "BMP")
_COLORS = tuple(Color)
_LETTERS = "badefigokulamenipurusateviwozuta"
_SYLLABLES = tuple(_LETTERS[at : at + 2] for at in range(0, len(_LETTERS), 2))
_WORDS, _PLACES, _CAMERAS, _HOSTS = 20_000, 3_000, 150, 2_000
_REVISION = next_revision(FIRST_REVISION)


class Draws:
    """Pseudo-random numbers from 0 to 1, determined by the number of the document."""

    def __init__(self, number: int) -> None:
        self._digest = hashlib.blake2b(number.to_bytes(8), digest_size=64).digest()

    def share(self, at: int) -> float:
        """Return number `at`, of 28."""
        return int.from_bytes(self._digest[2 * at : 2 * at + 2]) / 2**16

    def rank(self, at: int, count: int) -> int:
        """Return an index below `count`; small indexes are far more frequent."""
        return int(count ** self.share(at)) - 1

    @property
    def bits(self) -> int:
        return int.from_bytes(self._digest[56:])


def request_id(number: int) -> str:
    return str(uuid.UUID(int=0xBE7C << 112 | 4 << 76 | 8 << 60 | number))


def ids_of_requests(total: int) -> dict[str, str]:
    """Return the request ids of the largest customer by image id."""
    numbers = (number for number in range(total) if number % _OF_TEN < _BIG)
    return {image_id_of(request_id(each)): request_id(each) for each in numbers}


def customer(number: int, draw: Draws) -> str:
    if number % _OF_TEN < _BIG:
        return BIG_CUSTOMER
    return f"bench-{draw.rank(0, CUSTOMERS)}"


def document(number: int, total: int) -> SearchDocument:
    """Return document `number` of `total`; the last is the newest."""
    draw = Draws(number)
    width = 200 + int(5_800 * draw.share(1) ** 2)
    return SearchDocument(
        image_id=image_id_of(request_id(number)),
        request_id=request_id(number),
        customer_id=customer(number, draw),
        revision=_REVISION,
        created_at=FIRST_MS + number * SPAN_MS // total,
        format=_FORMATS[draw.rank(2, len(_FORMATS) + 1) % len(_FORMATS)],
        width=width,
        height=int(width * (0.5 + draw.share(3))),
        bytes=20_000 + int(4_000_000 * draw.share(4) ** 3),
        camera=_camera(draw),
        origin_host=f"{word(draw.rank(6, _HOSTS))}.example",
        labels={
            "album": f"{word(draw.rank(7, _WORDS))} {word(draw.rank(8, _WORDS))}",
            "place": word(draw.rank(9, _PLACES) + _WORDS),
            "job": f"{draw.rank(10, 1_000)}",
        },
        color=_COLORS[draw.rank(11, len(_COLORS) + 1) % len(_COLORS)],
        perceptual_hash=f"{_hash(number, draw):016x}",
    )


@cache
def word(number: int) -> str:
    """Return word `number`, of two or more syllables."""
    syllables = []
    left = number + len(_SYLLABLES)
    while left:
        left, at = divmod(left, len(_SYLLABLES))
        syllables.append(_SYLLABLES[at])
    return "".join(syllables)


def _camera(draw: Draws) -> str:
    at = draw.rank(5, _CAMERAS)
    return f"{word(at % 12).title()} {word(at + 300).upper()} {at}" if at else ""


def _hash(number: int, draw: Draws) -> int:
    """Return the perceptual hash. A near-duplicate differs in up to three bits from another image of its customer."""
    if number % _TWIN or number < _TWIN:
        return draw.bits
    flipped = 0
    for at in range(12, 15):
        flipped |= 1 << int(64 * draw.share(at))
    return Draws(number - _TWIN + 1).bits ^ flipped
