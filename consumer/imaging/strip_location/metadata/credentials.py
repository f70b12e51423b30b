"""Finds a location in content credentials: JUMBF boxes (ISO/IEC 19566-5) with a C2PA manifest store.

A store is signed as a whole, so it is dropped as a whole.
"""

import re

from consumer.imaging.strip_location.metadata import xmp

BOX = b"jumb"
_DESCRIPTION = b"jumd"
_COMPRESSED = b"brob"
_LOCATION = re.compile(
    rb"cai \. location | (?i: latitude | longitude) | (?i: location ) (?: Created | Shown )"
    rb"| contentLocation | : (?: GPS | (?i: %b ) \b )" % xmp.NAMES,
    re.VERBOSE,
)
"""Labels of assertions, and keys of their JSON or CBOR (C2PA 2.1, "Metadata"; the former cai.location)."""


def has_location(data: bytes) -> bool:
    """Return whether bytes hold a JUMBF box with a location. A compressed box counts, because it cannot be searched."""
    at = data.find(BOX)
    if at < 0 or _DESCRIPTION not in data:
        return False
    return _COMPRESSED in data or _LOCATION.search(data, at) is not None
