"""Validation of origin URLs."""

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
def test_an_ambiguous_host_is_rejected(row: AddressVector, scheme: str) -> None:
    """One parser may read it as a name and another as an address."""
    with pytest.raises(InvalidOriginUrl):
        parse_origin_url(f"{scheme}://{row.host}/picture.png")


@pytest.mark.parametrize(
    "row", [*address_vectors("blocked"), *address_vectors("allowed")], ids=lambda row: row.host
)
def test_a_plain_address_is_accepted(row: AddressVector) -> None:
    """The SSRF guard checks addresses when the connection is made."""
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
def test_a_url_is_kept_as_given(url: str, parsed: tuple[str, str, int], request_url: str) -> None:
    """The request URL keeps every escape, because a signature may cover it."""
    origin = parse_origin_url(url)
    assert origin == OriginUrl(url, *parsed)
    assert origin.request_url == request_url


@pytest.mark.parametrize(
    ("url", "message"),
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
def test_an_error_names_the_fault(url: str, message: str) -> None:
    """It is one sentence for the caller."""
    with pytest.raises(InvalidOriginUrl, match=message) as error:
        parse_origin_url(url)
    assert str(error.value).endswith(".")


def test_the_length_is_counted_in_bytes() -> None:
    """2,048 bytes are accepted, 2,049 are not, and a letter may have two bytes."""
    room = 2_048 - len("http://e.com/")
    parse_origin_url("http://e.com/" + "a" * room)
    with pytest.raises(InvalidOriginUrl, match="2,048"):
        parse_origin_url("http://e.com/" + "a" * (room + 1))
    with pytest.raises(InvalidOriginUrl, match="2,048"):
        parse_origin_url("http://e.com/" + "ä" * (room - 1))


@given(st.text() | st.text().map("http://".__add__) | st.text().map("http://e.com/".__add__))
def test_any_text_is_accepted_or_rejected(text: str) -> None:
    """No other error is raised, and the request URL of an accepted text is ASCII."""
    with contextlib.suppress(InvalidOriginUrl):
        origin = parse_origin_url(text)
        assert origin.url == text
        assert origin.request_url.isascii()
        assert parse_origin_url(origin.request_url, max_bytes=100_000).host == origin.host


def test_characters_that_parsers_disagree_about_are_rejected() -> None:
    """Of all Unicode: spaces, control characters, the backslash, and the noncharacters that SQS rejects."""
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
def test_authority_and_target_of_the_request(url: str, authority: str, target: str) -> None:
    """They are the two parts of a request's head that an origin URL decides."""
    origin = parse_origin_url(url)
    assert (origin.authority, origin.target) == (authority, target)
