"""Credentials stay with the host that the customer named; conditions with the URL that had answered."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from consumer.fetching.hop_headers import HopHeaders, Validator, is_conditional
from core.model.image import Provenance
from core.model.origin_url import OriginUrl, parse_origin_url

FIRST = "https://first.example/a.png"
SECRET = {
    "Authorization": "Bearer s3cr+t",
    "X-Api-Key": "k3y/1",
    "Referer": "https://shop.example/",
}


def always(_hop: OriginUrl, customer_id: str) -> Mapping[str, str]:
    """Credentials for every host, so that only the rule of redirects decides."""
    return SECRET if customer_id == "acme" else {}


def headers(validator: Validator | None = None) -> HopHeaders:
    return HopHeaders(parse_origin_url(FIRST), "acme", always, validator)


@pytest.mark.parametrize(
    ("hops", "with_credentials"),
    [
        ([FIRST], [True]),
        ([FIRST, "https://first.example/b.png"], [True, True]),
        ([FIRST, "https://FIRST.example./b.png"], [True, True]),
        ([FIRST, "https://first.example:8443/b.png"], [True, True]),
        ([FIRST, "https://second.example/"], [True, False]),
        ([FIRST, "https://a.first.example/"], [True, False]),
        ([FIRST, "https://second.example/", FIRST], [True, False, False]),
    ],
)
def test_no_redirect_to_another_host_has_credentials(
    hops: list[str], with_credentials: list[bool]
) -> None:
    """Nor has the way back: the other host has chosen what to request."""
    of_fetch = headers()
    assert [of_fetch.of(parse_origin_url(hop)) == SECRET for hop in hops] == with_credentials


@pytest.mark.parametrize(
    ("etag", "last_modified", "expected"),
    [
        ('"1"', "Mon, 30 Nov 2026 06:00:00 GMT", {"If-None-Match": '"1"'}),
        ('W/"1"', "", {"If-None-Match": 'W/"1"'}),
        ("", "yesterday", {"If-Modified-Since": "yesterday"}),
        ("", "", {}),
    ],
)
def test_a_condition_is_sent_to_the_url_that_had_answered(
    etag: str, last_modified: str, expected: dict[str, str]
) -> None:
    """Another URL may have another image with the same ETag."""
    of_fetch = headers(Validator(FIRST, etag, last_modified))
    first, other = (of_fetch.of(parse_origin_url(url)) for url in (FIRST, FIRST + "?v=2"))
    assert first == {**SECRET, **expected}
    assert is_conditional(first) is bool(expected)
    assert other == SECRET


@pytest.mark.parametrize(
    "text",
    ["Bearer s3cr+t", "https://a.example/?t=s3cr+t", "?t=s3cr%2Bt", "?t=S3CR%2bT", "k3y%2F1"],
)
def test_a_credential_that_the_origin_sends_back_is_not_recorded(text: str) -> None:
    of_fetch = headers()
    of_fetch.of(parse_origin_url(FIRST))
    clean = Provenance("https://shop.example/", 1, '"1"', "today", "image/png")
    assert of_fetch.without_secrets(clean) == clean
    echoed = Provenance(text, 1, text, text, text)
    assert of_fetch.without_secrets(echoed) == Provenance(redirects=1)
    assert of_fetch.without_secrets(replace(clean, etag=text)) == replace(clean, etag="")


def test_without_credentials_every_value_is_recorded() -> None:
    of_fetch = HopHeaders(parse_origin_url(FIRST), "globex", always)
    assert of_fetch.of(parse_origin_url(FIRST)) == {}
    echoed = Provenance(etag="s3cr+t")
    assert of_fetch.without_secrets(echoed) is echoed


@pytest.mark.parametrize(("sent", "field"), [({}, b"Cookie: a=1\r\n"), ({"cookie": "b=2"}, b"")])
def test_a_cookie_of_the_operator_replaces_those_of_the_origin(
    sent: dict[str, str], field: bytes
) -> None:
    """A request has one Cookie field (RFC 6265, section 5.4)."""
    of_fetch, hop = headers(), parse_origin_url(FIRST)
    of_fetch.cookies.store(hop, ["a=1"], datetime.now(UTC))
    assert of_fetch.cookie_field(hop, sent) == field
