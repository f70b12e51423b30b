"""Location in XMP packets (ISO 16684-1), found by property names in whatever namespace prefix.

The names are those of the namespaces exif, photoshop, Iptc4xmpCore, Iptc4xmpExt, geo (W3C), dc and
of drone makers. A packet is not parsed as XML: a name that a reader could find is enough. Names
cannot be spelt in character references, only the values of attributes can, a namespace's included.
"""

import re

_RDF = b"rdf-syntax-ns"
"""Part of a namespace that every packet declares, whatever prefix it gives to it."""

_WIDE_RDF = (b"r\0d\0f", b"r\0\0\0d\0\0\0f")
"""UTF-16 and UTF-32 keep ASCII legible between zeros."""

_DISGUISED = re.compile(rb"""xmlns(?::[\w.-]+)?\s*=\s*(?:"[^"<]*&|'[^'<]*&)""")
"""A namespace with references in it, which could be any; no writer has use for them."""

_ENTITY = b"<!ENTITY"
"""Could stand for any markup; XMP has no document type (ISO 16684-1, 7.1)."""

_PLACE = re.compile(
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


def names_place(packet: bytes) -> bool:
    """Whether a packet, or any bytes that may hold one, has a location property with a value.

    One that declares entities counts as if it had.
    """
    if any(wide in packet for wide in _WIDE_RDF):
        packet = packet.replace(b"\0", b"")
    if _RDF not in packet and _DISGUISED.search(packet) is None:
        return False
    return _ENTITY in packet or _PLACE.search(packet) is not None
