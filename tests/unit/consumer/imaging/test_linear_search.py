"""Searches of untrusted bytes take time in proportion to their length: a short file cannot keep a decoder busy."""

import importlib
import pkgutil
import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial

import pytest

import consumer.imaging
from consumer.imaging.ifd import WalkBudget
from consumer.imaging.strip_location.metadata import content, credentials, iptc, xmp
from core.errors import ImageFailure

_SIZE = 1_024
_GROWTH = 4
_COST_GROWTH_MAX = 9
"""Of a text that is four times as long. A quadratic search costs 16 times as much."""
_RUNS = 20
_NOISE = 0.000_02
"""Seconds. A search of less time is charged this. A quadratic search of the long text takes a hundred times as long."""

_STARTS = (b"", b"<", b' x="', b":", b"xmlns='", b"<rdf-syntax-ns ", b"rdf-syntax-ns")
_UNITS = (
    *(b"gps", b"altitude", b"location", b"x", b" ", b"\0", b"<", b":", b"a:", b"&", b'"', b" a=''"),
    *(b"<gps", b"<gps ", b"<a:gps>", b"<gps><rdf:Bag ", b":City", b":City ", b":lat >", b"xmlns:"),
    *(
        b"xmlns=",
        b'xmlns="',
        b"rdf-syntax-ns</x:RDF>",
        b"</RDF ",
        b"higherGeography",
        b"coordinate",
    ),
    *(
        b"DEVC",
        b"GPS",
        b"II*\0",
        b"\x1c\x02\x5a\0\1",
        b"\x1c\x02\x5a\1\xff",
        b"8BIM\4\5\0\0\0\0\0\0",
    ),
    *(b"jumb", b"jumbjumd", b":GPS", b"Semantic", b"Semantic ", b"hdrgm", b"+12.1", b"+121", b"1"),
    *(
        b"\x01\0\0\0aaaaN\0E\0",
        b"\xff",
        b"\xff\xe1",
        b"\0\0\0\x08",
        b"geo",
        b"<svg",
        b"#define",
        b"/*",
    ),
    *(b"<?xml", b"<!--", b"<!", b"geo:1", b"geo:1.1", b"1,"),
)
_TEXTS = [(start, unit) for start in _STARTS for unit in _UNITS]


def patterns() -> Iterator[tuple[str, re.Pattern[bytes]]]:
    """Yield the patterns of every module that reads images, with their names."""
    for module in pkgutil.walk_packages(consumer.imaging.__path__, "consumer.imaging."):
        for name, value in vars(importlib.import_module(module.name)).items():
            if isinstance(value, re.Pattern) and isinstance(value.pattern, bytes):
                yield f"{module.name}.{name}", value


def search_all(pattern: re.Pattern[bytes], text: bytes) -> None:
    for _ in pattern.finditer(text):
        pass


def search_pieces(text: bytes) -> None:
    xmp.pieces_have_location((text[: len(text) // 2], text[len(text) // 2 :]))


def has_location(text: bytes) -> None:
    content.has_location(text, WalkBudget())


def strip_resources(text: bytes) -> None:
    iptc.strip(text, WalkBudget(), lambda *_: False)


SEARCHES: dict[str, Callable[[bytes], object]] = {
    "content": has_location,
    "credentials": credentials.has_location,
    "datasets": iptc.find_dataset,
    "resources": strip_resources,
    "records": iptc.has_location,
    "xmp": xmp.has_location,
    "blank": xmp.blank,
    "pieces": search_pieces,
    **{name: partial(search_all, pattern) for name, pattern in patterns()},
}


def cost(search: Callable[[bytes], object], text: bytes) -> float:
    """Return the seconds of CPU of one search."""
    before = time.process_time()
    with suppress(ImageFailure):
        search(text)
    return time.process_time() - before


def grows_too_fast(search: Callable[[bytes], object], start: bytes, unit: bytes) -> bool:
    """Compare a text with one that is four times as long. The fastest runs count: other processes disturb a run."""
    short, long = (
        b"<?xpacket?>" + start + unit * (size // len(unit)) for size in (_SIZE, _GROWTH * _SIZE)
    )
    shorts, longs = [cost(search, short)], [cost(search, long)]
    while len(longs) < _RUNS and min(longs) > _COST_GROWTH_MAX * max(min(shorts), _NOISE):
        shorts.append(cost(search, short))
        longs.append(cost(search, long))
    return min(longs) > _COST_GROWTH_MAX * max(min(shorts), _NOISE)


@pytest.mark.parametrize("search", SEARCHES.values(), ids=SEARCHES)
def test_a_search_is_linear(search: Callable[[bytes], object]) -> None:
    """No repeated fragment makes the cost of a search grow much faster than the text."""
    assert [each for each in _TEXTS if grows_too_fast(search, *each)] == []
