"""Finds a location in XMP packets (ISO 16684-1) by property names, in any namespace.

The names are those of the namespaces exif, photoshop, Iptc4xmpCore, Iptc4xmpExt, xmpDM, geo (W3C), dc, dcterms,
dwc (Darwin Core), cell, georss and of drone makers. A packet is not parsed as XML: a name that a reader could find is
enough. XML allows character references in attribute values, also in that of a namespace, but not in names.
"""

import re
from collections.abc import Iterable, Iterator

from core.errors import CorruptImage, LocationNotRemovable

_RDF = b"rdf-syntax-ns"
"""Part of a namespace that every packet declares, under any prefix."""

_MARKS = (_RDF, b"<?xpacket", b"xmpmeta", b"<rdf:", b":RDF")
"""Some readers do not require the declaration, but the frame around it, or the usual prefix."""

_WIDE_RDF = (b"r\0d\0f", b"r\0\0\0d\0\0\0f")
"""In UTF-16 and UTF-32, zero bytes separate the ASCII characters."""

_DISGUISED = re.compile(rb"""xmlns(?::[\w.-]+)?\s*=\s*(?:"[^"<]*&|'[^'<]*&)""")
"""A namespace with references in it could be any namespace. No writer uses references there."""

_ENTITY = b"<!ENTITY"
"""An entity can stand for any markup. XMP has no document type (ISO 16684-1, 7.1)."""

_ANY = rb"""[^\s<>"'=:/&]"""
_SUFFIX = rb"(?: [-_]? (?: names? | code | id | iso \w* ) )? \d*"
NAMES = rb"""
    (?: (?: address [-_]? )? (?: city | country ) %(suffix)b | country-code | address [-_]? region
      | (?: state | province | (?: sub )? locality | place | town | district | county ) %(suffix)b
      | state [-_]? province | province [-_]? state | address [-_]? locality | place [-_]? of [-_]? capture
      | postal [-_]? code | sub-location | world [-_]? region | coverage | spatial | landmark
      | lat | lon | lng | long | lat [-_]? (?: lon | lng | long ) | rtk [-_]? std [-_]? (?: lat | lon | hgt )
      | geo | geo [-_]? (?: hash | ur[il] | tag | point | json | coord \w* | code \w* | names? %(suffix)b )
      | coords? | coordinate \w* | elevation | easting | northing | utm (?: [-_]? zone )? | mgrs
      | plus [-_]? code | what3words | cellid | cgi | lac | mcc | mnc
      | municipality | continent | island (?: group )? | water [-_]? body | neighbou?rhood
      | verbatim (?: locality | coordinate \w* | srs | elevation | depth )
      | highergeography \w* | footprint \w* | geodeticdatum | georeference \w*
    )
""" % {b"suffix": _SUFFIX}
"""Lower-case names, in a verbose pattern. Writers differ in their case."""
_STEMS = (b"gps", b"itude", b"location")
_NAMES_WITH_STEM = rb"""
    (?! gpsversionid (?! %(any)b ) | isospeed | subject | focus)
    (?= %(any)b*? (?: gps | location | (?: lat | longt? | alt ) itude ) ) %(any)b*+
"""
"""Any name with one of these in it, except film latitude (ISOSpeedLatitude) and positions in the image.

The name is passed once, and possessively: a long one costs time in proportion to its length.
"""

_ATTRIBUTE = rb"""(?= \s* = \s* ["'] )"""
_END_OF_NAME = rb"(?: %b | (?= [\s/>] ) )" % _ATTRIBUTE
_EMPTY_LIST = (
    rb"> \s* < %(any)b{1,64} : (?: bag | seq | alt ) \s* (?: /> | > \s* </ [^<>]{1,128} > ) \s* </"
    % {b"any": _ANY}
)
"""GIMP writes empty lists for all properties of the IPTC extension. Nothing may follow one in its property."""
_WITH_VALUE = rb"""(?! \s* (?: /> | > \s* </ | = \s* (?: "\s*" | '\s*' ) | %b ) )""" % _EMPTY_LIST


def _compile(pattern: bytes) -> re.Pattern[bytes]:
    parts = {
        b"names": NAMES,
        b"stem": _NAMES_WITH_STEM % {b"any": _ANY},
        b"any": _ANY,
        b"end": _END_OF_NAME + _WITH_VALUE,
        b"attribute": _ATTRIBUTE + _WITH_VALUE,
    }
    return re.compile(pattern % parts, re.VERBOSE)


# Patterns that begin with one character are many times as fast as others.
_PROPERTY = _compile(rb": %(names)b %(end)b")
_ELEMENT = _compile(rb"< %(names)b %(end)b")
_PREFIX = _compile(rb"""(?: [<\s"'] %(any)b{1,64} | %(any)b{65} ) \Z""")
_PREFIX_MAX = 65
"""Bytes. The beginning of a longer prefix is not looked for."""
_STEM_ELEMENT = _compile(rb"< (?: %(any)b++ : )? %(stem)b %(end)b")
_STEM_ATTRIBUTE = _compile(rb"""[\s"'] (?= %(any)b) (?: %(any)b++ : )? %(stem)b %(attribute)b""")
"""Some readers accept an attribute without a prefix, or without a space before it."""
_NAMESPACES = (b"<georss:", b"<gml:")
_GEO_URI = re.compile(rb"\bgeo:[+-]?\d{1,3}(?:\.\d+)?,[+-]?\d")
"""A value that is a position under any name (RFC 5870)."""

_END_OF_RDF = re.compile(rb"</(?:[\w.-]{1,64}:)?RDF\s*>")
_NO_TEXT = re.compile(rb"[\x00-\x08\x0e-\x1f]")
_PACKETS_MAX = 1_000
_OVERLAP = 4_096
"""Bytes of a long text that are searched twice, so that no name is split. A name has at most 150."""


def has_location(packet: bytes) -> bool:
    """Return whether bytes, which may hold a packet, have a location property with a value.

    A packet that declares entities counts as located.
    """
    if any(wide in packet for wide in _WIDE_RDF):
        packet = packet.replace(b"\0", b"")
    if not _is_packet(packet):
        return False
    return _ENTITY in packet or _has_property(packet)


def _has_property(packet: bytes) -> bool:
    folded = packet.lower()
    if any(stem in folded for stem in _STEMS) and (
        _STEM_ATTRIBUTE.search(folded) or _STEM_ELEMENT.search(folded)
    ):
        return True
    return (
        any(_is_prefixed(folded, match) for match in _PROPERTY.finditer(folded))
        or _ELEMENT.search(folded) is not None
        or any(namespace in folded for namespace in _NAMESPACES)
        or _GEO_URI.search(folded) is not None
    )


def _is_prefixed(packet: bytes, match: re.Match[bytes]) -> bool:
    return _PREFIX.search(packet[max(match.start() - _PREFIX_MAX, 0) : match.start()]) is not None


def _is_packet(text: bytes) -> bool:
    return any(mark in text for mark in _MARKS) or _DISGUISED.search(text) is not None


def pieces_have_location(pieces: Iterable[bytes]) -> bool:
    """Do the same for a long text in pieces. Stops at the first location."""
    is_packet, tail = False, b""
    for piece in pieces:
        text = tail + piece
        if any(wide in text for wide in _WIDE_RDF):
            text = text.replace(b"\0", b"")
        is_packet = is_packet or _is_packet(text)
        if is_packet and (_ENTITY in text or _has_property(text)):
            return True
        tail = text[-_OVERLAP:]
    return False


def blank(data: bytes, *, every: bool = False) -> bytes:
    """Replace each packet with a location by spaces, wherever it is in `data`. Returns `data` itself if there is none.

    every: also packets without a location.
    Raises LocationNotRemovable for a packet with a location in UTF-16 or UTF-32.
    """
    located = [
        (start, stop) for start, stop in _packets(data) if every or has_location(data[start:stop])
    ]
    if any(wide in data for wide in _WIDE_RDF) and has_location(data):
        raise LocationNotRemovable("a packet of XMP in UTF-16 cannot be blanked")
    if not located:
        return data
    blanked = bytearray(data)
    for start, stop in located:
        blanked[start:stop] = b" " * (stop - start)
    return bytes(blanked)


def _packets(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield the bytes from the element that declares RDF to the end of RDF, or to the end of the text."""
    at = limit = 0
    for _ in range(_PACKETS_MAX):
        declared = data.find(_RDF, at)
        if declared < 0:
            return
        start = max(data.rfind(b"<", at, declared), at)
        if limit <= declared:
            no_text = _NO_TEXT.search(data, declared)
            limit = no_text.start() if no_text else len(data)
        end = _END_OF_RDF.search(data, declared, limit)
        at = end.end() if end else limit
        yield start, at
    raise CorruptImage(f"more than {_PACKETS_MAX:,} packets of XMP")
