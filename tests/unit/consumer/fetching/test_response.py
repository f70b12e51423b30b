"""What status and headers say."""

from datetime import UTC, datetime

import pytest

from consumer.fetching.response import (
    check_content_encoding,
    check_status,
    parse_content_length,
    parse_media_type,
    sanitize_header,
)
from core.errors import (
    BadResponse,
    ImageFailure,
    NotFound,
    OriginError,
    OriginRefused,
    RateLimited,
    TooLarge,
)

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("status", "failure"),
    [
        (204, BadResponse),
        (206, BadResponse),
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
    """Anything but 200 is a failure, named after what the caller does about it."""
    with pytest.raises(ImageFailure) as raised:
        check_status(status, None, NOW)
    assert type(raised.value) is failure


def test_only_200_is_a_picture() -> None:
    """It passes without a word."""
    check_status(200, "5", NOW)


@pytest.mark.parametrize("status", [429, 503])
def test_the_wish_to_wait_travels_with_the_failure(status: int) -> None:
    """Where the status makes Retry-After mean something, the caller learns it."""
    with pytest.raises(ImageFailure) as raised:
        check_status(status, "17", NOW)
    assert raised.value.retry_after == 17


@pytest.mark.parametrize("coding", [None, "", "identity", " Identity , identity"])
def test_a_body_as_it_is_passes(coding: str | None) -> None:
    """Identity is no coding."""
    check_content_encoding(coding)


@pytest.mark.parametrize("coding", ["gzip", "br", "identity, gzip", "zstd", "x"])
def test_a_coded_body_is_refused(coding: str) -> None:
    """Nothing is unfolded, so nothing can explode."""
    with pytest.raises(BadResponse):
        check_content_encoding(coding)


@pytest.mark.parametrize(
    ("headers", "size"),
    [
        ({}, None),
        ({"Content-Length": "0"}, 0),
        ({"Content-Length": "100"}, 100),
        ({"Content-Length": "5", "Transfer-Encoding": "chunked"}, None),
    ],
)
def test_a_length_counts_where_it_binds(headers: dict[str, str], size: int | None) -> None:
    """Beside chunked framing a length says nothing about what arrives."""
    assert parse_content_length(headers, 100) == size


@pytest.mark.parametrize("length", ["101", "9" * 6_000])
def test_a_declared_size_over_the_limit_is_refused(length: str) -> None:
    """Before a byte of it is read."""
    with pytest.raises(TooLarge):
        parse_content_length({"Content-Length": length}, 100)


@pytest.mark.parametrize("length", ["-1", "+5", "1_0", "5, 5", "", "\u0665"])
def test_a_length_that_is_no_number_is_refused(length: str) -> None:
    """Only digits are a length."""
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
    """What cannot be stored and shown safely is left out as a whole, never cut."""
    assert sanitize_header(value) == kept


def test_the_media_type_is_recorded_without_parameters() -> None:
    """Only type and subtype are of interest."""
    assert parse_media_type("Image/PNG; q=1") == "image/png"
    assert parse_media_type(None) == ""
