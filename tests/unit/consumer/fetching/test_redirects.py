"""Where a redirect may lead."""

import pytest

from consumer.fetching.response import resolve_redirect
from core.errors import BadRedirect, TooManyRedirects
from core.model.origin_url import parse_origin_url

HTTP = parse_origin_url("http://a.example/dir/page?q=1")
HTTPS = parse_origin_url("https://a.example/dir/page?q=1")


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("/other.png", "https://a.example/other.png"),
        ("other.png", "https://a.example/dir/other.png"),
        ("?q=2", "https://a.example/dir/page?q=2"),
        ("//b.example/x", "https://b.example/x"),
        ("https://b.example/a%2fb?sig=%2b", "https://b.example/a%2fb?sig=%2b"),
        ("https://b.example/two words.png", "https://b.example/two%20words.png"),
        ("https://b.example/" + "s" * 4_000, "https://b.example/" + "s" * 4_000),
        ("https://10.0.0.1/", "https://10.0.0.1/"),
    ],
)
def test_a_location_is_resolved_against_the_hop(location: str, url: str) -> None:
    """Relative and absolute locations lead where RFC 3986 says; addresses are left to the guard."""
    assert resolve_redirect(HTTPS, location, followed=0, limit=5).url == url


def test_a_step_up_to_https_is_followed() -> None:
    """Only the way down is closed."""
    assert resolve_redirect(HTTP, "https://a.example/", followed=0, limit=5).scheme == "https"


@pytest.mark.parametrize(
    "location",
    [
        None,
        "",
        "http://a.example/",
        "ftp://a.example/x",
        "javascript:alert(1)",
        "https://user:secret@a.example/",
        "https://2130706433/",
        "https://[::1/",
        "https://a.example:22/",
        "https://a.example\\@b.example/",
        "https://a.example/\udcff",
        "https://a.example/" + "s" * 9_000,
    ],
)
def test_a_location_that_submit_would_refuse_is_not_followed(location: str | None) -> None:
    """A redirect is no way round the rules for URLs, and never leads from https to http."""
    with pytest.raises(BadRedirect):
        resolve_redirect(HTTPS, location, followed=0, limit=5)


def test_the_number_of_hops_is_bounded() -> None:
    """The hop after the limit is an error of its own."""
    assert resolve_redirect(HTTP, "/x", followed=4, limit=5).url == "http://a.example/x"
    with pytest.raises(TooManyRedirects):
        resolve_redirect(HTTP, "/x", followed=5, limit=5)
