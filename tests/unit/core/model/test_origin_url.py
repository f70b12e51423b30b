"""Which URLs are taken in."""

import contextlib
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.model.origin_url import InvalidOriginUrl, OriginUrl, parse_origin_url
from harness.address_vectors import AddressVector, address_vectors


@pytest.mark.parametrize("row", address_vectors("odd"), ids=lambda row: ascii(row.host))
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_an_odd_host_is_refused(row: AddressVector, scheme: str) -> None:
    """No spelling gets in that one parser reads as a name and another as an address."""
    with pytest.raises(InvalidOriginUrl):
        parse_origin_url(f"{scheme}://{row.host}/picture.png")


@pytest.mark.parametrize(
    "row", [*address_vectors("blocked"), *address_vectors("allowed")], ids=lambda row: row.host
)
def test_a_plain_address_is_left_to_the_guard(row: AddressVector) -> None:
    """Which addresses are blocked is decided when the connection is made, not here."""
    assert parse_origin_url(row.url()).port == 80


@pytest.mark.parametrize(
    ("url", "parsed", "request_url"),
    [
        (
            "http://example.com",
            ("http", "example.com", 80),
            "http://example.com/",
        ),
        (
            "HTTPS://Example.COM/A.png",
            ("https", "example.com", 443),
            "https://example.com/A.png",
        ),
        (
            "https://example.com:8443/a%2fb?sig=%2b+x&y=/#part",
            ("https", "example.com", 8443),
            "https://example.com:8443/a%2fb?sig=%2b+x&y=/",
        ),
        (
            "http://example.com?only=query",
            ("http", "example.com", 80),
            "http://example.com/?only=query",
        ),
        (
            "http://bücher.example/ä.png?ö",
            ("http", "xn--bcher-kva.example", 80),
            "http://xn--bcher-kva.example/%C3%A4.png?%C3%B6",
        ),
        (
            "http://my_bucket.example.com.:1024/",
            ("http", "my_bucket.example.com.", 1024),
            "http://my_bucket.example.com.:1024/",
        ),
        (
            "http://[2606:4700::1111]:8080/",
            ("http", "2606:4700::1111", 8080),
            "http://[2606:4700::1111]:8080/",
        ),
        (
            "http://8.8.8.8:/",
            ("http", "8.8.8.8", 80),
            "http://8.8.8.8/",
        ),
    ],
)
def test_a_url_is_kept_whole(url: str, parsed: tuple[str, str, int], request_url: str) -> None:
    """The text stays as given; what is sent keeps every escape that a signature may cover."""
    origin = parse_origin_url(url)
    assert origin == OriginUrl(url, *parsed)
    assert origin.request_url == request_url


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("", "empty"),
        ("example.com/a.png", "http://"),
        ("ftp://example.com/a.png", "http://"),
        ("file:///etc/passwd", "http://"),
        ("http:/example.com", "http://"),
        ("http:///a.png", "host"),
        ("http://user:secret@example.com/", "password"),
        ("http://example.com/a b.png", "spaces"),
        (" http://example.com/", "spaces"),
        ("http://example.com/\r\nHost: x", "control"),
        ("http://example.com/a\tb", "spaces"),
        ("http://example.com/\x00", "control"),
        ("http://example.com\\@127.0.0.1/", "backslashes"),
        ("http://example.com/\ud800", "Unicode"),
        ("http://example.com:1023/", "port"),
        ("http://example.com:0/", "port"),
        ("http://example.com:99999/", "port"),
        ("http://example.com:6000/", "port 6000"),
        ("http://example.com:80x/", "port"),
        ("http://[::1%25eth0]/", "zone"),
        ("http://ex%61mple.com/", "percent"),
        ("http://0x7f.1/", "four decimal numbers"),
        ("http://" + "a" * 64 + ".com/", "valid name"),
        ("http://" + "a." * 130 + "com/", "valid name"),
        ("http://ab--\u0301.example/", "internationalised"),
    ],
)
def test_a_refusal_tells_the_caller_what_is_wrong(url: str, told: str) -> None:
    """One sentence, in the words of whoever wrote the URL."""
    with pytest.raises(InvalidOriginUrl, match=told) as refusal:
        parse_origin_url(url)
    assert str(refusal.value).endswith(".")


def test_the_length_is_counted_in_bytes() -> None:
    """2,048 bytes are taken, one more is not, and a letter may be more than one byte."""
    room = 2_048 - len("http://e.com/")
    parse_origin_url("http://e.com/" + "a" * room)
    with pytest.raises(InvalidOriginUrl, match="2,048"):
        parse_origin_url("http://e.com/" + "a" * (room + 1))
    with pytest.raises(InvalidOriginUrl, match="2,048"):
        parse_origin_url("http://e.com/" + "ä" * (room - 1))


@given(st.text() | st.text().map("http://".__add__) | st.text().map("http://e.com/".__add__))
def test_any_text_is_taken_or_refused(text: str) -> None:
    """Nothing but the one error escapes, and what is taken can be sent as plain ASCII."""
    with contextlib.suppress(InvalidOriginUrl):
        origin = parse_origin_url(text)
        assert origin.url == text
        assert origin.request_url.isascii()
        assert parse_origin_url(origin.request_url, max_bytes=100_000).host == origin.host


def test_no_character_is_taken_that_parsers_disagree_about() -> None:
    """Of all Unicode: spaces, control characters, the backslash, and what SQS takes in no message."""
    characters = [chr(point) for point in range(sys.maxunicode + 1) if not 0xD800 <= point < 0xE000]
    for character in characters:
        ambiguous = (
            character in "\\\ufffe\uffff"
            or character.isspace()
            or unicodedata.category(character) == "Cc"
        )
        try:
            parse_origin_url(f"http://e.com/{character}")
        except InvalidOriginUrl:
            assert ambiguous, ascii(character)
        else:
            assert not ambiguous, ascii(character)


@pytest.mark.parametrize(
    ("url", "authority", "target"),
    [
        ("http://e.com", "e.com", "/"),
        ("http://e.com?a=/b#c/d", "e.com", "/?a=/b"),
        ("http://e.com#/a?b", "e.com", "/"),
        ("https://e.com:443/a?#", "e.com", "/a?"),
        ("http://e.com:443/a b".replace(" ", "%20"), "e.com:443", "/a%20b"),
        ("http://[::ffff:1.2.3.4]:8080/<>", "[::ffff:102:304]:8080", "/%3C%3E"),
    ],
)
def test_what_is_sent_is_host_and_target(url: str, authority: str, target: str) -> None:
    """The two parts of a request's head, neither with room for another line."""
    origin = parse_origin_url(url)
    assert (origin.authority, origin.target) == (authority, target)
