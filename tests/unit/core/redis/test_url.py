"""REDIS_URL, taken apart: what weakens TLS or is misspelt is refused at the start, and no password is told."""

import ssl
from pathlib import Path

import pytest
from redis.asyncio.connection import SSLConnection

from core.redis.connection import RedisConnection, client_at
from core.redis.url import RedisUrl
from core.settings import CoreSettings, load

SECRET = "s3cret"


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("redis://cache.example", RedisUrl("cache.example", 6379, 0, False, None, None)),
        ("redis://[::1]:1/7", RedisUrl("::1", 1, 7, False, None, None)),
        ("rediss://:a%2Fb%23@h/", RedisUrl("h", 6379, 0, True, None, "a/b#")),
        ("rediss://us%3Aer:p%40ss@h:6380", RedisUrl("h", 6380, 0, True, "us:er", "p@ss")),
    ],
)
def test_a_url_names_a_place(url: str, place: RedisUrl) -> None:
    """Name and password are decoded once; rediss:// is TLS."""
    assert RedisUrl.parse(url) == place


@pytest.mark.parametrize("url", ["rediss://h", "rediss://user:pass@h:6380/1"])
def test_certificates_and_host_names_are_checked(url: str) -> None:
    """By nothing but the scheme; with Python's own least version of TLS or a later one."""
    trusted = RedisUrl.parse(url).trusted
    assert trusted is not None
    assert trusted.verify_mode is ssl.CERT_REQUIRED
    assert trusted.check_hostname
    assert trusted.minimum_version >= ssl.TLSVersion.TLSv1_2


def test_without_tls_nothing_is_trusted() -> None:
    assert RedisUrl.parse("redis://h").trusted is None


@pytest.mark.parametrize(
    ("url", "told"),
    [
        (f"https://user:{SECRET}@h", "redis:// or rediss://"),
        (f"rediss://user:{SECRET}#x@h", "name a host"),
        (f"rediss://user:1/{SECRET}@h", "percent-encoded"),
        (f"rediss://user:1#{SECRET}@h", "percent-encoded"),
        (f"rediss://user:1?{SECRET}=x@h", "percent-encoded"),
        (f"rediss://user:1?{SECRET}@h", "percent-encoded"),
        (f"rediss://:{SECRET}@h/first", "database"),
        (f"rediss://:{SECRET}@h/\N{SUPERSCRIPT TWO}", "database"),
        (f"rediss://:{SECRET}@h?ssl_cert_reqs=none", "always checked"),
        (f"rediss://:{SECRET}@h?ssl_check_hostname=False", "always checked"),
        (f"rediss://:{SECRET}@h?ssl_ca_cert=/misspelt.pem", "ssl_ca_certs"),
        (f"rediss://:{SECRET}@h?ssl_ca_certs=", "ssl_ca_certs"),
        (f"rediss://:{SECRET}@h?ssl_ca_certs=/a&ssl_ca_certs=/b", "ssl_ca_certs"),
        (f"rediss://:{SECRET}@h?ssl_ca_certs=/a&socket_timeout=99", "nothing else"),
        (f"redis://:{SECRET}@h?socket_timeout=99", "nothing else"),
        (f"redis://:{SECRET}@h?ssl_ca_certs=/a", "rediss://"),
        (f"rediss://:{SECRET}@h?ssl_ca_certs=/nowhere/ca.pem", "No such file"),
    ],
)
def test_what_is_wrong_is_told_without_a_part_of_it(
    url: str,
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """By the variable's name. A password with signs of URLs in it may turn up in any part."""
    monkeypatch.setenv("REDIS_URL", url)
    with pytest.raises(SystemExit):
        load(CoreSettings)
    (line,) = [
        line for line in capsys.readouterr().err.splitlines() if line.startswith("REDIS_URL: ")
    ]
    assert told in line
    assert SECRET not in line


def test_a_file_without_certificates_names_no_authority(tmp_path: Path) -> None:
    """Nor does one that is cut off; it is said at the start."""
    file = tmp_path / "ca.pem"
    for content in ("", "-----BEGIN CERTIFICATE-----\nMIIB"):
        file.write_text(content)
        with pytest.raises(ValueError, match="holds no certificate"):
            RedisUrl.parse(f"rediss://h?ssl_ca_certs={file}")


async def test_who_prints_one_prints_no_password() -> None:
    """Neither a place nor a client nor a link does."""
    url = f"rediss://user:{SECRET}@h"
    place, link = RedisUrl.parse(url), RedisConnection(url)
    client = client_at(place, socket_timeout=1)
    for each in (place, client, client.connection_pool, link, link.subscriber()):
        assert SECRET not in f"{each!r} {each}"
    await client.aclose()
    await link.close()


async def test_all_connections_share_what_is_trusted() -> None:
    """Making it takes as long as a connection may: each that made its own would come too late."""
    link = RedisConnection("rediss://h")
    clients = (link._client, link.subscriber())
    for client in clients:
        connection = client.connection_pool.make_connection()  # type: ignore[no-untyped-call]
        assert isinstance(connection, SSLConnection)
        assert connection.ssl_context.get() is link._place.trusted
    await link.close()
