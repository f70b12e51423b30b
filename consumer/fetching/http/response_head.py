"""Heads of responses: finds their end, and repairs those that browsers accept and our parser does not. Pure.

A head is well-formed on almost every connection, and is then passed on unchanged. The repairs follow RFC 9112 where it
has a rule, else Chromium's parser. A connection whose head was repaired is not reused: its origin and another reader
may disagree about where the response ends.
"""

import re

import aiohttp

MAX_HEAD_BYTES = 68 * 1_024
"""64 KB of header fields, and room for the status line and a few interim responses."""

MAX_HEADER_FIELDS = 1_000
"""Header fields of a response, trailers included. Each takes several times its size in memory."""

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
_WELL_FORMED = re.compile(
    rb"HTTP/1\.[01] [1-9][0-9]{2}(?: [^\r\n\0]*+)?\r\n(?:" + _TOKEN + rb":[^\r\n\0]*+\r\n)*+\r\n"
)
_FRAMING = re.compile(
    rb"\n(?:content-length:[ \t]*+([^\r\n]*+)|transfer-encoding:[ \t]*+([^\r\n]*+))", re.IGNORECASE
)
_PLAIN_LENGTH = re.compile(rb"(?:0|[1-9][0-9]{0,17})[ \t]*+")
"""One that every parser reads. Any number of leading zeros is allowed, but Python refuses to read thousands."""
_STATUS_LINE = re.compile(
    rb"HTTP/(?P<version>[0-9]+(?:\.[0-9]+)?)[ \t]+(?P<status>[1-9][0-9]{2})(?![0-9])[ \t]*(?P<reason>.*)",
    re.IGNORECASE | re.DOTALL,
)
_NAME = re.compile(_TOKEN)
_FOLD = re.compile(rb"\r?\n[ \t]+")
_LINE_END = re.compile(rb"\r?\n")
_INVALID = re.compile(rb"[\r\0]")
_PREFIX = b"HTTP/"


class LastingDefect(aiohttp.ClientPayloadError):
    """The response cannot be read, and a repeated request would get the same one. `str()` is for the customer."""


def may_begin_head(data: bytes | bytearray) -> bool:
    """Return whether a response may begin with `data`, which may be a part of its first line."""
    begin = bytes(data[:64]).lstrip(b"\r\n")[: len(_PREFIX)].upper()
    return _PREFIX.startswith(begin)


def find_head_end(data: bytes | bytearray, start: int) -> int:
    """Return the index behind the first empty line after `start`, -1 if there is none.

    Lines end in CRLF or in LF alone (RFC 9112, section 2.2).
    """
    crlf = data.find(b"\n\r\n", start, MAX_HEAD_BYTES)
    lf = data.find(b"\n\n", start, MAX_HEAD_BYTES if crlf < 0 else crlf)
    if lf >= 0:
        return lf + 2
    return crlf + 3 if crlf >= 0 else -1


def repair_head(head: bytes) -> bytes:
    """Return a head that the parser reads as a browser would, `head` itself if it is well-formed.

    Raises LastingDefect if it has no status line, or contradictory lengths.
    """
    if _WELL_FORMED.fullmatch(head) and _has_one_framing(head):
        return head
    text = head.lstrip(b"\r\n")
    if not text:
        return head
    status_line, *lines = _LINE_END.split(_FOLD.sub(b" ", text).rstrip(b"\r\n"))
    fields = [field for line in lines if (field := _parse_field(line))]
    return b"\r\n".join([_repair_status_line(status_line), *_repair_framing(fields), b"", b""])


def _has_one_framing(head: bytes) -> bool:
    fields = _FRAMING.findall(head)
    if not fields:
        return True
    (length, coding), *more = fields
    if more:
        return False
    return bool(_PLAIN_LENGTH.fullmatch(length)) or coding.rstrip(b" \t").lower() == b"chunked"


def _repair_status_line(line: bytes) -> bytes:
    parts = _STATUS_LINE.fullmatch(line)
    if parts is None:
        raise LastingDefect("it is not HTTP")
    version = b"1.0" if parts["version"] in (b"0.9", b"1.0") else b"1.1"
    return b"HTTP/%b %b %b" % (version, parts["status"], _INVALID.sub(b" ", parts["reason"]))


def _parse_field(line: bytes) -> tuple[bytes, bytes] | None:
    """Return name and value, or None for a line that is no field, which browsers skip.

    A space before the colon is removed, and CR and NUL in a value become spaces (RFC 9110, section 5.5).
    """
    name, colon, value = line.partition(b":")
    name = name.rstrip(b" \t")
    if not colon or not _NAME.fullmatch(name):
        return None
    return name, _INVALID.sub(b" ", value).strip(b" \t")


def _repair_framing(fields: list[tuple[bytes, bytes]]) -> list[bytes]:
    """Return the lines of `fields` with one statement about the length of the body (RFC 9112, section 6.3).

    Chunked framing overrides a length. A length that is repeated with the same value counts once, and an empty one not
    at all. A transfer coding other than chunked is ignored beside a length, as browsers do.
    """
    lengths = _elements(fields, b"content-length")
    codings = [coding.lower() for coding in _elements(fields, b"transfer-encoding")]
    lines = [
        b"%b: %b" % field
        for field in fields
        if field[0].lower() not in (b"content-length", b"transfer-encoding")
    ]
    others = [coding for coding in codings if coding not in (b"chunked", b"identity")]
    if b"chunked" in codings:
        lines.append(b"Transfer-Encoding: " + b", ".join([*others, b"chunked"]))
    elif lengths:
        lines.append(b"Content-Length: " + _parse_length(lengths))
    elif others:
        lines.append(b"Transfer-Encoding: " + b", ".join(others))
    return lines


def _elements(fields: list[tuple[bytes, bytes]], name: bytes) -> list[bytes]:
    values = b",".join(value for key, value in fields if key.lower() == name)
    elements = [element.strip(b" \t") for element in values.split(b",")]
    return [element for element in elements if element]


def _parse_length(lengths: list[bytes]) -> bytes:
    numbers = {length.lstrip(b"0") or b"0" for length in lengths}
    if len(numbers) > 1:
        raise LastingDefect("it declares several lengths")
    return numbers.pop()
