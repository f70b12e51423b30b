"""Cookies between the hops of one fetch."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.fetching.http.cookies import (
    MAX_COOKIE_BYTES,
    MAX_COOKIES,
    MAX_FIELD_BYTES,
    FetchCookies,
)
from core.model.origin_url import parse_origin_url

NOW = datetime(2026, 3, 1, tzinfo=UTC)
HTTPS = parse_origin_url("https://a.example/dir/image.jpg")


def sent(fields: list[str], url: str = "https://a.example/dir/image.jpg") -> bytes:
    """Return the field that a request for `url` has after `fields` came from https://a.example/dir/image.jpg."""
    cookies = FetchCookies()
    cookies.store(HTTPS, fields, NOW)
    return cookies.header(parse_origin_url(url))


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ([], b""),
        (["a=1"], b"Cookie: a=1\r\n"),
        (["a=1; Path=/; HttpOnly; SameSite=Lax", "b=2"], b"Cookie: a=1; b=2\r\n"),
        (["a=1", "a=2"], b"Cookie: a=2\r\n"),
        (["a=1; Expires=Wed, 09 Jun 2100 10:18:14 GMT; Max-Age=60"], b"Cookie: a=1\r\n"),
        (["a=1", "a=; Max-Age=0"], b""),
        (["a=1; max-age=-1"], b""),
        (["a=1", "a=deleted; expires=Thu, 01-Jan-1970 00:00:01 GMT"], b""),
        (["a=1; Expires=Thu, 01-Jan-1970 00:00:01 GMT; Max-Age=9"], b"Cookie: a=1\r\n"),
        (["a=1; Expires=never", "b=2; Expires"], b"Cookie: a=1; b=2\r\n"),
        ([' a = "x y" '], b'Cookie: a="x y"\r\n'),
        (["a=b=c"], b"Cookie: a=b=c\r\n"),
        (["a="], b"Cookie: a=\r\n"),
        (["a[b]=1,2"], b"Cookie: a[b]=1,2\r\n"),
        (["a=caf\udce9"], b"Cookie: a=caf\xe9\r\n"),
        (["a=1; Domain=example"], b"Cookie: a=1\r\n"),
        (["novalue", "=1", "", ";", "a\x01=1", "a=1\r\nX: y"], b""),
        (["a=1; Path=/dir", "b=2; Path=/dir/", "c=3; Path=/di", "d=4; Path=dir"],
         b"Cookie: b=2; a=1; d=4\r\n"),
    ],
)  # fmt: skip
def test_a_cookie_is_returned_to_its_host(fields: list[str], line: bytes) -> None:
    """Unusual ones too, byte for byte; longer paths first (RFC 6265, section 5.4)."""
    assert sent(fields) == line


@pytest.mark.parametrize(
    "url",
    [
        "https://b.example/dir/image.jpg",
        "https://sub.a.example/dir/image.jpg",
        "https://example/dir/image.jpg",
        "https://a.example./dir/image.jpg",
    ],
)
def test_no_other_host_gets_a_cookie(url: str) -> None:
    """Whatever its Domain says."""
    assert sent(["a=1; Domain=.example", "b=2; Domain=b.example", "c=3"], url) == b""


def test_a_secure_cookie_needs_tls() -> None:
    """Both to be set and to be sent. Others survive the step from http to https."""
    http = parse_origin_url("http://a.example/")
    assert sent(["a=1; Secure", "b=2"], "http://a.example/") == b"Cookie: b=2\r\n"
    assert sent(["a=1; secure"]) == b"Cookie: a=1\r\n"
    cookies = FetchCookies()
    cookies.store(http, ["a=1; Secure", "b=2"], NOW)
    assert cookies.header(HTTPS) == b"Cookie: b=2\r\n"


def test_number_and_size_are_bounded() -> None:
    """An origin cannot make our requests large."""
    assert sent([f"a{n}=1" for n in range(10_000)]).count(b"=") == MAX_COOKIES
    assert sent(["a=" + "x" * MAX_COOKIE_BYTES]) == b""
    assert len(sent([f"a{n}=" + "x" * 4_000 for n in range(10)])) <= MAX_FIELD_BYTES + 20


@given(st.lists(st.text(), max_size=3))
def test_any_field_gives_one_line_or_none(fields: list[str]) -> None:
    """A cookie cannot add a field to the request."""
    line = sent([field.encode(errors="replace").decode() for field in fields])
    assert line.count(b"\n") == line.count(b"\r") == (1 if line else 0)
