"""Validation of origin URLs."""

import contextlib
import re
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.model.origin_url import (
    InvalidOriginUrl,
    OriginUrl,
    parse_origin_url,
    resolve_reference,
)
from harness.address_vectors import AddressVector, address_vectors

BASE = parse_origin_url("http://a.example/b/c/d;p?q")


@pytest.mark.parametrize("row", address_vectors("odd"), ids=lambda row: ascii(row.host))
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_an_ambiguous_host_is_rejected(row: AddressVector, scheme: str) -> None:
    """One parser may read it as a name and another as an address."""
    with pytest.raises(InvalidOriginUrl):
        parse_origin_url(f"{scheme}://{row.host}/picture.png")
    with pytest.raises(InvalidOriginUrl):
        resolve_reference(BASE, f"{scheme}://{row.host}/picture.png")


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
        (" \t\r\n", "empty"),
        ("http://exa mple.com/", "valid name"),
        ("http:// example.com/", "valid name"),
        ("http://example.com /", "valid name"),
        ("http://example.com\u3000/", "valid name"),
        ("http://example.com\u2028/", "internationalised"),
        ("http:\\\\example.com/", "backslashes"),
        ("http://example.com/a\\b", "backslashes"),
        ("http://example.com/\r\nHost: x", "control"),
        ("http://example.com/a\tb", "control"),
        ("http://exam\tple.com/", "control"),
        ("http://example.com/\x00", "control"),
        ("\x00http://example.com/", "control"),
        ("\u00a0http://example.com/", "http://"),
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
    ],
)
def test_an_error_names_the_fault(url: str, message: str) -> None:
    """It is one sentence for the caller."""
    with pytest.raises(InvalidOriginUrl, match=message) as error:
        parse_origin_url(url)
    assert str(error.value).endswith(".")


def test_the_length_is_counted_in_bytes() -> None:
    """8,190 bytes are accepted, 8,191 are not, and a letter may have two bytes."""
    room = 8_190 - len("http://e.com/")
    parse_origin_url("http://e.com/" + "a" * room)
    with pytest.raises(InvalidOriginUrl, match="8,190"):
        parse_origin_url("http://e.com/" + "a" * (room + 1))
    with pytest.raises(InvalidOriginUrl, match="8,190"):
        parse_origin_url("http://e.com/" + "ä" * (room - 1))


@given(st.text() | st.text().map("http://".__add__) | st.text().map("http://e.com/".__add__))
def test_any_text_is_accepted_or_rejected(text: str) -> None:
    """No other error is raised. The request URL of an accepted text is ASCII, and is its own request URL."""
    with contextlib.suppress(InvalidOriginUrl):
        origin = parse_origin_url(text)
        assert origin.url == text
        assert origin.request_url.isascii()
        again = parse_origin_url(origin.request_url)
        assert (again.host, again.request_url) == (origin.host, origin.request_url)


def _characters() -> list[str]:
    """Return all characters except letters without case, private ones and those that are not assigned."""
    characters = [chr(point) for point in range(sys.maxunicode + 1)]
    skipped = {"Lo", "Co", "Cn", "Cs"}
    return [each for each in characters if unicodedata.category(each) not in skipped]


def test_characters_that_parsers_disagree_about_are_rejected() -> None:
    """Of all Unicode: control characters, the backslash, and the noncharacters that SQS rejects."""
    for character in (*_characters(), "\ufffe", "\uffff"):
        ambiguous = character in "\\\ufffe\uffff" or unicodedata.category(character) == "Cc"
        try:
            origin = parse_origin_url(f"http://e.com/{character}.jpg")
        except InvalidOriginUrl:
            assert ambiguous, ascii(character)
        else:
            assert not ambiguous, ascii(character)
            assert origin.request_url.isascii()


def test_no_character_changes_where_the_host_ends() -> None:
    """UTS 46 makes a slash, a space, a colon or a dot of some characters. None of them splits the host."""
    changed = (each for each in _characters() if unicodedata.normalize("NFKC", each) != each)
    for character in (*changed, *map(chr, range(0x2100))):
        with contextlib.suppress(InvalidOriginUrl):
            origin = parse_origin_url(f"http://a{character}b.e.com:8080/x")
            ends = character in "/?#"
            assert origin.host.endswith(".e.com") is not ends, ascii(character)
            assert re.fullmatch(r"[a-z0-9_.-]+", origin.host), ascii(character)


@pytest.mark.parametrize(
    ("url", "authority", "target"),
    [
        ("http://e.com", "e.com", "/"),
        ("http://e.com?a=/b#c/d", "e.com", "/?a=/b"),
        ("http://e.com#/a?b", "e.com", "/"),
        ("https://e.com:443/a?#", "e.com", "/a?"),
        ("http://e.com:443/a b".replace(" ", "%20"), "e.com:443", "/a%20b"),
        ("http://[::ffff:1.2.3.4]:8080/<>", "[::ffff:102:304]:8080", "/%3C%3E"),
        (" \t\r\nhttp://e.com/a.jpg\n \f", "e.com", "/a.jpg"),
        ("http://e.com/two words.jpg?a b", "e.com", "/two%20words.jpg?a%20b"),
        ("http://e.com/Shot at 9.41\u202fAM.jpg", "e.com", "/Shot%20at%209.41%E2%80%AFAM.jpg"),
        ("http://e.com/\u00a0\u3000\u2028", "e.com", "/%C2%A0%E3%80%80%E2%80%A8"),
        ("http://e.com/a\u3000", "e.com", "/a%E3%80%80"),
        ("http://e.com/\u202egpj.\U0001f600", "e.com", "/%E2%80%AEgpj.%F0%9F%98%80"),
        ("http://e.com/?path=C:\\a", "e.com", "/?path=C:%5Ca"),
        ("http://e.com/a#b\\c", "e.com", "/a"),
        ("http://e.com/100%.jpg?%2F%c3%A9", "e.com", "/100%.jpg?%2F%c3%A9"),
        ("http://e.com/dots/../img.jpg", "e.com", "/img.jpg"),
        ("http://e.com/a b/../c d", "e.com", "/c%20d"),
        ("http://e.com?../a", "e.com", "/?../a"),
        ("http://trail-.example/", "trail-.example", "/"),
    ],
)
def test_authority_and_target_of_the_request(url: str, authority: str, target: str) -> None:
    """They are the two parts of a request's head that an origin URL decides."""
    origin = parse_origin_url(url)
    assert (origin.authority, origin.target) == (authority, target)


# RFC 3986, section 5.4: references against http://a/b/c/d;p?q.
@pytest.mark.parametrize(
    ("reference", "target"),
    [
        ("g", "/b/c/g"),
        ("./g", "/b/c/g"),
        ("g/", "/b/c/g/"),
        ("/g", "/g"),
        ("?y", "/b/c/d;p?y"),
        ("g?y", "/b/c/g?y"),
        ("#s", "/b/c/d;p?q"),
        ("g#s", "/b/c/g"),
        (";x", "/b/c/;x"),
        ("g;x?y#s", "/b/c/g;x?y"),
        ("", "/b/c/d;p?q"),
        (".", "/b/c/"),
        ("./", "/b/c/"),
        ("..", "/b/"),
        ("../", "/b/"),
        ("../g", "/b/g"),
        ("../..", "/"),
        ("../../", "/"),
        ("../../g", "/g"),
        ("../../../g", "/g"),
        ("/./g", "/g"),
        ("/../g", "/g"),
        ("g.", "/b/c/g."),
        ("..g", "/b/c/..g"),
        ("./../g", "/b/g"),
        ("g/./h", "/b/c/g/h"),
        ("g/../h", "/b/c/h"),
        ("g;x=1/./y", "/b/c/g;x=1/y"),
        ("g;x=1/../y", "/b/c/y"),
        ("g?y/../x", "/b/c/g?y/../x"),
        ("?", "/b/c/d;p?"),
        ("g?", "/b/c/g?"),
    ],
)
def test_a_reference_is_resolved_as_in_rfc_3986(reference: str, target: str) -> None:
    """All examples of the RFC that stay on the host, and empty queries."""
    resolved = resolve_reference(BASE, reference)
    assert resolved.request_url == f"http://a.example{target}"
    assert resolved.url.isascii()


@pytest.mark.parametrize(
    ("reference", "request_url"),
    [
        ("//g", "http://g/"),
        ("//g?y", "http://g/?y"),
        ("https://g:8443/x", "https://g:8443/x"),
        ("HTTPS://G.Example", "https://g.example/"),
        ("//bücher.example/ä b", "http://xn--bcher-kva.example/%C3%A4%20b"),
        (" /Shot at 10:30\u202fAM.jpg\t", "http://a.example/Shot%20at%2010:30%E2%80%AFAM.jpg"),
        ("Shot at 10:30.jpg", "http://a.example/b/c/Shot%20at%2010:30.jpg"),
        ("/caf\udce9.jpg?\udcff", "http://a.example/caf%E9.jpg?%FF"),
        ("/a\tb\x01", "http://a.example/ab%01"),
        ("/x?path=\\a", "http://a.example/x?path=%5Ca"),
        ("//g//x", "http://g//x"),
    ],
)
def test_a_reference_is_escaped_as_browsers_do(reference: str, request_url: str) -> None:
    """Spaces and non-ASCII characters as UTF-8, and bytes of other encodings as they are."""
    assert resolve_reference(BASE, reference).request_url == request_url


@pytest.mark.parametrize(
    "reference",
    [
        "http:g",
        "http:/g",
        "javascript:alert(1)",
        "ftp://g/",
        "//",
        "///g",
        "//user@g/",
        "//g\udce9/",
        "//g\t.example/",
        "//2130706433/",
        "\\\\g",
        "/\\g",
        "//g:22/",
        "/\ud800",
        "/" + "a" * 8_190,
    ],
)
def test_a_reference_that_no_parser_should_guess_at_is_rejected(reference: str) -> None:
    """Its result has to follow the rules of a submitted URL."""
    with pytest.raises(InvalidOriginUrl):
        resolve_reference(BASE, reference)


@given(st.text(st.characters(codec=None, exclude_categories=[])))
def test_any_reference_is_resolved_or_rejected(reference: str) -> None:
    """No other error is raised, and the result is ASCII without dot segments."""
    with contextlib.suppress(InvalidOriginUrl):
        target = resolve_reference(BASE, reference).target
        assert target.isascii()
        assert not {".", ".."} & set(target.partition("?")[0].split("/"))
