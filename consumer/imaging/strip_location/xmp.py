"""Finds a location in XMP packets (ISO 16684-1) by property names, with any namespace prefix.

The names are those of the namespaces exif, photoshop, Iptc4xmpCore, Iptc4xmpExt, geo (W3C), dc and
of drone makers. A packet is not parsed as XML: a name that a reader could find is enough. XML allows
character references in attribute values, also in that of a namespace, but not in names.
"""

import re

_RDF = b"rdf-syntax-ns"
"""Part of a namespace that every packet declares, under any prefix."""

_WIDE_RDF = (b"r\0d\0f", b"r\0\0\0d\0\0\0f")
"""In UTF-16 and UTF-32, zero bytes separate the ASCII characters."""

_DISGUISED = re.compile(rb"""xmlns(?::[\w.-]+)?\s*=\s*(?:"[^"<]*&|'[^'<]*&)""")
"""A namespace with references in it could be any namespace. No writer uses references there."""

_ENTITY = b"<!ENTITY"
"""An entity can stand for any markup. XMP has no document type (ISO 16684-1, 7.1)."""

_LOCATION = re.compile(
    rb"""
    [<\s] [\w.-]+ :
    (?: (?i:gps) \w*
      | Location (?: Created | Shown | Name | Id )?
      | City | Country | Country-?Code | CountryName | State | ProvinceState
      | Sub-?location | WorldRegion | coverage
      | lat | long | lat_long | (?i:latitude | longitude)
    )
    \b (?! \s* (?: /> | = \s* (?: "\s*" | '\s*' ) ) )
    """,
    re.VERBOSE,
)


def has_location(packet: bytes) -> bool:
    """Return whether bytes, which may hold a packet, have a location property with a value.

    A packet that declares entities counts as located.
    """
    if any(wide in packet for wide in _WIDE_RDF):
        packet = packet.replace(b"\0", b"")
    if _RDF not in packet and _DISGUISED.search(packet) is None:
        return False
    return _ENTITY in packet or _LOCATION.search(packet) is not None
