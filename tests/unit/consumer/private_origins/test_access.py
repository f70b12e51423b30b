"""Which requests carry which credentials."""

from dataclasses import replace

import pytest

from consumer.private_origins.access import BucketAccess, Credential, Customers, PrivateOrigins
from core.model.origin_url import parse_origin_url

ACME = Customers(frozenset({"acme"}))
EVERYONE = Customers(frozenset(), all=True)
EXACT = Credential("exact", ("example.com",), ACME, {"Authorization": "exact"})
BELOW = Credential("below", ("*.example.com",), ACME, {"Authorization": "below"})


def sent(*credentials: Credential, url: str, customer: str = "acme") -> str:
    """The value of the header that a request has."""
    return (
        PrivateOrigins(credentials)
        .headers_for(parse_origin_url(url), customer)
        .get("Authorization", "")
    )


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://example.com/a.png", "exact"),
        ("https://EXAMPLE.com./a.png", "exact"),
        ("https://example.com:443/a.png", "exact"),
        ("https://img.example.com/a.png", "below"),
        ("https://a.b.example.com/a.png", "below"),
        ("https://evil-example.com/a.png", ""),
        ("https://evilexample.com/a.png", ""),
        ("https://example.com.evil.net/a.png", ""),
        ("https://example.com-evil.net/a.png", ""),
        ("https://com/a.png", ""),
        ("https://exámple.com/a.png", ""),
        ("https://evil.net/example.com", ""),
        ("https://evil.net/?https://example.com/", ""),
        ("https://evil.net/#@example.com", ""),
        ("https://example.com:8443/a.png", ""),
        ("http://example.com/a.png", ""),
        ("http://example.com:443/a.png", ""),
    ],
)
def test_a_host_must_match_a_pattern_as_a_whole(url: str, expected: str) -> None:
    """Case and a final dot do not matter; the scheme is https, and the port its default."""
    assert sent(EXACT, BELOW, url=url) == expected


def test_another_customer_has_no_credentials() -> None:
    """An entry for all has an explicit mark: no customer id can be `*`."""
    assert sent(EXACT, url="https://example.com/", customer="globex") == ""
    assert sent(EXACT, url="https://example.com/", customer="") == ""
    for_all = replace(EXACT, customers=EVERYONE)
    assert sent(for_all, url="https://example.com/", customer="globex") == "exact"


def test_the_first_entry_that_fits_is_sent() -> None:
    """Its place in the file decides, and not the kind of its pattern."""
    first = replace(BELOW, hosts=("*.com",), headers={"Authorization": "first"})
    second = replace(EXACT, hosts=("img.example.com",), headers={"Authorization": "second"})
    assert sent(first, second, url="https://img.example.com/") == "first"
    assert sent(second, first, url="https://img.example.com/") == "second"
    assert (
        sent(
            replace(first, customers=Customers(frozenset({"b"}))),
            second,
            url="https://img.example.com/",
        )
        == "second"
    )


@pytest.mark.parametrize(
    ("port", "url", "expected"),
    [
        (8443, "https://example.com:8443/", "exact"),
        (8443, "https://example.com/", ""),
        (443, "https://example.com/", "exact"),
        (443, "http://example.com:443/", "exact"),
        (None, "http://example.com/", "exact"),
        (None, "http://example.com:8080/", ""),
    ],
)
def test_a_port_is_the_given_one_or_the_default(port: int | None, url: str, expected: str) -> None:
    """With allow_http, which the operator sets for networks of their own."""
    assert sent(replace(EXACT, port=port, allow_http=True), url=url) == expected


@pytest.mark.parametrize(
    ("prefix", "path", "expected"),
    [
        ("/private", "/private", "exact"),
        ("/private", "/private/a.png?b", "exact"),
        ("/private", "/private?b", "exact"),
        ("/private", "/privateer/a.png", ""),
        ("/private", "/a.png", ""),
        ("/private/", "/private/a.png", "exact"),
        ("/private/", "/private", ""),
        ("/private", "/private/../a.png", ""),
        ("/private", "/private/%2e%2e/a.png", ""),
        ("/private", "/private/..%2fa.png", ""),
        ("/private", "/private/%2E%2E%5Ca.png", ""),
        ("/private", "/private/..;x=1/a.png", ""),
        ("/private", "/private/%252e%252e/a.png", ""),
        ("/private", "/private/a%2F..%2F..%2Fa.png", ""),
        ("/private", "/private/a..%2fb...png;x?c=../d", "exact"),
        ("/", "/..%2fa.png", "exact"),
        ("/private", "/b/../private/a.png", "exact"),
        ("/private", "/a.png?/private/", ""),
        ("/", "/a.png", "exact"),
    ],
)
def test_a_path_is_below_the_prefix(prefix: str, path: str, expected: str) -> None:
    """By whole segments, and as it is requested: without dot segments."""
    assert sent(replace(EXACT, path_prefix=prefix), url=f"https://example.com{path}") == expected


@pytest.mark.parametrize(
    ("bucket", "key", "customer", "allowed"),
    [
        ("uploads", "photos/a.png", "acme", True),
        ("uploads", "photos/b/c.png", "acme", True),
        ("uploads", "photo", "acme", False),
        ("uploads", "other/a.png", "acme", False),
        ("uploads", "photos/a.png", "globex", False),
        ("uploads2", "photos/a.png", "acme", False),
        ("shared", "anything", "globex", True),
    ],
)
def test_an_object_needs_an_entry(bucket: str, key: str, customer: str, allowed: bool) -> None:
    buckets = [BucketAccess("uploads", ("photos/",), ACME), BucketAccess("shared", ("",), EVERYONE)]
    assert PrivateOrigins((), buckets).allows_object(bucket, key, customer) is allowed


@pytest.mark.parametrize(
    ("prefix", "key", "allowed"),
    [
        ("photos", "photos/a.png", True),
        ("photos", "photos2/a.png", True),
        ("photos/", "photos2/a.png", False),
        ("2026-", "2026-01/a.png", True),
        ("photos/a.png", "photos/a.png", True),
        ("/photos/", "photos/a.png", False),
        ("photos/", "Photos/a.png", False),
    ],
)
def test_a_prefix_is_the_beginning_of_a_key(prefix: str, key: str, allowed: bool) -> None:
    """As in policies of IAM: a slash has no meaning of its own in a key."""
    buckets = [BucketAccess("uploads", (prefix,), ACME)]
    assert PrivateOrigins((), buckets).allows_object("uploads", key, "acme") is allowed


def test_no_repr_has_a_secret() -> None:
    """Errors and logs print objects."""
    assert "exact" not in repr(replace(EXACT, name="n"))
