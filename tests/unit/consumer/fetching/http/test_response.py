"""Checks of status and headers, redirects and Retry-After."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.fetching.http.response import (
    MAX_RETRY_AFTER_S,
    check_status,
    parse_content_length,
    parse_media_type,
    parse_retry_after,
    resolve_redirect,
    sanitize_header,
)
from core.errors import (
    BadRedirect,
    BadResponse,
    BrokenResponse,
    ImageFailure,
    NotFound,
    OriginError,
    OriginRefused,
    RateLimited,
    TooLarge,
    TooManyRedirects,
)
from core.model.origin_url import parse_origin_url

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("status", "failure"),
    [
        (101, BadResponse),
        (202, BrokenResponse),
        (204, BadResponse),
        (205, BadResponse),
        (206, BadResponse),
        (226, BadResponse),
        (300, BadResponse),
        (304, BadResponse),
        (400, OriginRefused),
        (401, OriginRefused),
        (403, OriginRefused),
        (404, NotFound),
        (408, OriginError),
        (410, NotFound),
        (425, OriginError),
        (429, RateLimited),
        (451, OriginRefused),
        (500, OriginError),
        (502, OriginError),
        (503, OriginError),
        (599, OriginError),
    ],
)
def test_each_status_has_its_failure(status: int, failure: type[ImageFailure]) -> None:
    """Every status except 200 is a failure, named after what the caller does about it."""
    with pytest.raises(ImageFailure) as raised:
        check_status(status, None, NOW)
    assert type(raised.value) is failure


@pytest.mark.parametrize("status", [200, 201, 203, 218, 299])
def test_a_status_with_the_image_is_accepted(status: int) -> None:
    """An unknown status of the class counts as 200 (RFC 9110, section 15)."""
    check_status(status, "5", NOW)


@pytest.mark.parametrize(
    ("content_range", "whole"),
    [
        ("bytes 0-99/100", True),
        (" bytes 0-0/1 ", True),
        ("bytes 0-98/100", False),
        ("bytes 1-99/100", False),
        ("bytes 0-99/*", False),
        ("bytes */100", False),
        ("bytes 0-" + "9" * 5_000 + "/1", False),
        ("", False),
        (None, False),
    ],
)
def test_a_partial_response_is_accepted_if_it_is_the_whole(
    content_range: str | None, whole: bool
) -> None:
    """Some caches answer 206 to a request without a range."""
    if whole:
        check_status(206, None, NOW, content_range=content_range)
        return
    with pytest.raises(BadResponse):
        check_status(206, None, NOW, content_range=content_range)


@pytest.mark.parametrize("status", [202, 429, 503])
def test_the_failure_carries_retry_after(status: int) -> None:
    """Retry-After has a meaning for these statuses."""
    with pytest.raises(ImageFailure) as raised:
        check_status(status, "17", NOW)
    assert raised.value.retry_after == 17


@pytest.mark.parametrize(
    ("headers", "size"),
    [
        ({}, None),
        ({"Content-Length": "0"}, 0),
        ({"Content-Length": "100"}, 100),
        ({"Content-Length": "5", "Transfer-Encoding": "chunked"}, None),
    ],
)
def test_a_length_counts_only_without_transfer_encoding(
    headers: dict[str, str], size: int | None
) -> None:
    """With chunked framing, a length says nothing about the bytes that arrive."""
    assert parse_content_length(headers, 100) == size


@pytest.mark.parametrize("length", ["101", "9" * 6_000])
def test_a_declared_size_over_the_limit_is_rejected(length: str) -> None:
    """It is rejected before a byte is read."""
    with pytest.raises(TooLarge):
        parse_content_length({"Content-Length": length}, 100)


@pytest.mark.parametrize("length", ["-1", "+5", "1_0", "5, 5", "", "\u0665"])
def test_a_length_that_is_no_number_is_rejected(length: str) -> None:
    """Only digits are accepted."""
    with pytest.raises(BadResponse):
        parse_content_length({"Content-Length": length}, 100)


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (None, ""),
        (' "v1" ', '"v1"'),
        ("x" * 256, "x" * 256),
        ("x" * 257, ""),
        ("bad\udcff", ""),
        ("bell\x07", ""),
        ("ä", ""),
    ],
)
def test_strange_header_values_are_not_recorded(value: str | None, kept: str) -> None:
    """A value that cannot be stored and shown safely is dropped as a whole, never cut."""
    assert sanitize_header(value) == kept


def test_the_media_type_is_recorded_without_parameters() -> None:
    """Only type and subtype are kept."""
    assert parse_media_type("Image/PNG; q=1") == "image/png"
    assert parse_media_type(None) == ""


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
        ("/caf\udce9.jpg", "https://a.example/caf%E9.jpg"),
        ("/Shot at\u202fAM.jpg#top", "https://a.example/Shot%20at%E2%80%AFAM.jpg"),
    ],
)
def test_a_location_is_resolved_against_the_hop(location: str, url: str) -> None:
    """Relative and absolute locations are resolved as in RFC 3986. The guard checks addresses later."""
    assert resolve_redirect(HTTPS, [location], followed=0, limit=5).url == url


def test_a_step_up_to_https_is_followed() -> None:
    """Only a redirect from https to http is rejected."""
    assert resolve_redirect(HTTP, ["https://a.example/"], followed=0, limit=5).scheme == "https"


@pytest.mark.parametrize(
    "location",
    [
        "",
        "http://a.example/",
        "ftp://a.example/x",
        "javascript:alert(1)",
        "https://user:secret@a.example/",
        "https://2130706433/",
        "https://[::1/",
        "https://a.example:22/",
        "https://a.example\\@b.example/",
        "https://a.example\udcff/",
        "https://a.example/" + "s" * 9_000,
    ],
)
def test_a_location_that_submit_would_reject_is_not_followed(location: str) -> None:
    """A redirect must follow the rules for URLs, and never leads from https to http."""
    with pytest.raises(BadRedirect):
        resolve_redirect(HTTPS, [location], followed=0, limit=5)


@pytest.mark.parametrize("locations", [["/x"], ["/x", "/x"], ["", "/x"]])
def test_a_repeated_location_counts_once(locations: list[str]) -> None:
    """As in browsers. An empty one does not count."""
    assert resolve_redirect(HTTP, locations, followed=0, limit=5).url == "http://a.example/x"


@pytest.mark.parametrize("locations", [[], ["", ""], ["/x", "/y"]])
def test_a_missing_or_ambiguous_location_is_not_followed(locations: list[str]) -> None:
    """Two readers could follow two of them."""
    with pytest.raises(BadRedirect):
        resolve_redirect(HTTP, locations, followed=0, limit=5)


def test_the_number_of_hops_is_bounded() -> None:
    """The hop after the limit raises TooManyRedirects."""
    assert resolve_redirect(HTTP, ["/x"], followed=4, limit=5).url == "http://a.example/x"
    with pytest.raises(TooManyRedirects):
        resolve_redirect(HTTP, ["/x"], followed=5, limit=5)


NOON = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("120", 120),
        (" 7 ", 7),
        ("900", 900),
        ("901", 900),
        ("9" * 5_000, 900),
        ("Sun, 01 Mar 2026 12:00:30 GMT", 30),
        ("Sunday, 01-Mar-26 12:00:30 GMT", 30),
        ("Sun Mar  1 12:00:30 2026", 30),
        ("Sun, 01 Mar 2026 11:59:00 GMT", 0),
        ("Mon, 02 Mar 2026 12:00:00 GMT", 900),
        (None, None),
        ("", None),
        ("-1", None),
        ("1.5", None),
        ("٣", None),
        ("soon", None),
        ("Sun, 99 Mar 2026 12:00:30 GMT", None),
    ],
)
def test_seconds_and_dates_are_read_within_bounds(value: str | None, seconds: float | None) -> None:
    """Both forms of RFC 9110 are accepted, up to the longest delay of a queue. Invalid values count as absent."""
    assert parse_retry_after(value, NOON) == seconds


@given(st.integers(0, int(MAX_RETRY_AFTER_S)))
def test_a_date_and_its_distance_mean_the_same(seconds: int) -> None:
    """A date and the number of seconds until it give the same result."""
    date = format_datetime(NOON + timedelta(seconds=seconds), usegmt=True)
    assert parse_retry_after(date, NOON) == parse_retry_after(str(seconds), NOON) == seconds


@given(st.text())
def test_any_text_is_harmless(text: str) -> None:
    """Any untrusted header gives a bounded number or None."""
    seconds = parse_retry_after(text, NOON)
    assert seconds is None or 0 <= seconds <= MAX_RETRY_AFTER_S
