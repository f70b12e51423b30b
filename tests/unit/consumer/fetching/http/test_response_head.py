"""Heads of responses: their end, and the repair of those that browsers accept."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.fetching.http.response_head import (
    MAX_HEAD_BYTES,
    LastingDefect,
    find_head_end,
    may_begin_head,
    repair_head,
)


def head(*lines: bytes, status: bytes = b"HTTP/1.1 200 OK") -> bytes:
    return b"\r\n".join([status, *lines, b"", b""])


@pytest.mark.parametrize(
    "well_formed",
    [
        head(),
        head(b"Content-Length: 5"),
        head(b"Content-Length: 0"),
        head(b"content-length:5 ", b'ETag: W/"a, b"'),
        head(b"Transfer-Encoding: chunked"),
        head(b"TRANSFER-ENCODING:Chunked", b"X: Content-Length: 5"),
        head(b"X-Content-Length: 5", b"Content-Length: 6"),
        head(b"X: caf\xe9", b"Y:"),
        head(status=b"HTTP/1.0 404"),
        head(status=b"HTTP/1.1 204 "),
    ],
)
def test_a_well_formed_head_is_passed_on(well_formed: bytes) -> None:
    """It is the same object, by which the caller knows that the connection may be reused."""
    assert repair_head(well_formed) is well_formed


@pytest.mark.parametrize(
    ("lines", "repaired"),
    [
        ((b"Content-Length: 5", b"Content-Length: 5"), (b"Content-Length: 5",)),
        ((b"Content-Length: 5, 5",), (b"Content-Length: 5",)),
        ((b"Content-Length: ,5,,05",), (b"Content-Length: 5",)),
        ((b"Content-Length: 0", b"content-length: 00"), (b"Content-Length: 0",)),
        ((b"Content-Length: 05",), (b"Content-Length: 5",)),
        ((b"Content-Length: " + b"0" * 5_000 + b"5",), (b"Content-Length: 5",)),
        ((b"Content-Length: ",), ()),
        ((b"Content-Length : 5",), (b"Content-Length: 5",)),
        ((b"Content-Length:", b" 5"), (b"Content-Length: 5",)),
        (
            (b"Content-Length: 5", b"Transfer-Encoding: chunked"),
            (b"Transfer-Encoding: chunked",),
        ),
        (
            (b"Transfer-Encoding: Chunked", b"Content-Length: 5", b"Content-Length: 6"),
            (b"Transfer-Encoding: chunked",),
        ),
        (
            (b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity, chunked"),
            (b"Transfer-Encoding: chunked",),
        ),
        ((b"Transfer-Encoding: gzip, chunked",), (b"Transfer-Encoding: gzip, chunked",)),
        ((b"Transfer-Encoding: identity", b"Content-Length: 5"), (b"Content-Length: 5",)),
        ((b"Transfer-Encoding: gzip", b"Content-Length: 5"), (b"Content-Length: 5",)),
        ((b"Transfer-Encoding: identity",), ()),
        ((b"Transfer-Encoding: gzip",), (b"Transfer-Encoding: gzip",)),
        ((b"X: a\r\n\t b",), (b"X: a b",)),
        ((b"X: a\rb\0c",), (b"X: a b c",)),
        ((b"X : y",), (b"X: y",)),
        ((b"no field", b": no name", b"My Field: y", b"X: y"), (b"X: y",)),
    ],
)
def test_a_head_that_browsers_accept_is_repaired(
    lines: tuple[bytes, ...], repaired: tuple[bytes, ...]
) -> None:
    """One statement about the length of the body remains, and fields that the parser accepts."""
    assert repair_head(head(*lines)) == head(*repaired)
    with_lf = head(*lines).replace(b"\r\n", b"\n")
    assert repair_head(with_lf) == head(*repaired)
    assert repair_head(head(*repaired)) == head(*repaired)


@pytest.mark.parametrize(
    ("line", "repaired"),
    [
        (b"HTTP/2 200", b"HTTP/1.1 200 "),
        (b"HTTP/1.2 200 OK", b"HTTP/1.1 200 OK"),
        (b"http/1.1  200   OK", b"HTTP/1.1 200 OK"),
        (b"HTTP/1.1 200OK", b"HTTP/1.1 200 OK"),
        (b"HTTP/0.9 200 OK", b"HTTP/1.0 200 OK"),
        (b"\r\n\r\nHTTP/1.1 200 OK", b"HTTP/1.1 200 OK"),
    ],
)
def test_a_status_line_is_repaired(line: bytes, repaired: bytes) -> None:
    """As Chromium reads it."""
    assert repair_head(head(status=line)) == head(status=repaired)


@pytest.mark.parametrize(
    "defective",
    [
        head(b"Content-Length: 5", b"Content-Length: 6"),
        head(b"Content-Length: 5, 6"),
        head(b"Content-Length: 5, x"),
        head(b"Content-Length: 5, +5"),
        head(b"X: y", status=b"ICY 200 OK"),
        head(status=b"HTTP/1.1 OK"),
        head(status=b"HTTP/1.1 2000"),
        head(status=b"HTTP/1.1 099"),
        head(status=b"SSH-2.0-OpenSSH_9.6"),
    ],
)
def test_a_head_with_two_meanings_or_none_is_refused(defective: bytes) -> None:
    """Another reader may see another body."""
    with pytest.raises(LastingDefect):
        repair_head(defective)


def test_empty_lines_alone_are_no_head() -> None:
    """The parser skips them."""
    assert repair_head(b"\r\n\r\n") == b"\r\n\r\n"


@given(st.binary(max_size=200))
def test_any_bytes_are_repaired_or_refused(data: bytes) -> None:
    """A repaired head is well-formed."""
    try:
        repaired = repair_head(b"HTTP/1.1 200 OK\r\n" + data + b"\r\n\r\n")
    except LastingDefect:
        return
    assert repaired.startswith(b"HTTP/1.1 200 OK")
    assert b"\0" not in repaired
    assert find_head_end(repaired, 0) == len(repaired)


@pytest.mark.parametrize(
    ("data", "end"),
    [
        (b"a\r\n\r\nb", 5),
        (b"a\n\nb", 3),
        (b"a\n\r\nb", 4),
        (b"a\r\n\nb", 4),
        (b"a\n\nb\r\n\r\n", 3),
        (b"a\r\n\r\n\n\n", 5),
        (b"a\r\nb\r\n\r", -1),
        (b"", -1),
        (b"a" * MAX_HEAD_BYTES + b"\r\n\r\n", -1),
    ],
)
def test_the_first_empty_line_ends_a_head(data: bytes, end: int) -> None:
    """It may end in LF alone. It is not searched behind the limit."""
    assert find_head_end(data, 0) == end


@pytest.mark.parametrize(
    ("data", "may"),
    [
        (b"", True),
        (b"H", True),
        (b"\r\nHTT", True),
        (b"http/1.1 2", True),
        (b"\r\n" * 40, True),
        (b"HX", False),
        (b"SSH-2.0", False),
        (b"\0\0\6\4\0", False),
    ],
)
def test_bytes_that_begin_no_response_are_known_at_once(data: bytes, may: bool) -> None:
    """A server of another protocol may say no more, and wait."""
    assert may_begin_head(data) is may
