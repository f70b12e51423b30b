"""REDIS_URL is validated at start-up: nothing weakens TLS, and no message has a part of the password."""

import ssl
from pathlib import Path

import pytest
from redis.asyncio.connection import SSLConnection

from core.redis.connection import RedisConnection, new_client
from core.redis.url import RedisUrl
from core.settings import CoreSettings, load

SECRET = "s3cret"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://cache.example", RedisUrl("cache.example", 6379, 0, False, None, None)),
        ("redis://[::1]:1/7", RedisUrl("::1", 1, 7, False, None, None)),
        ("rediss://:a%2Fb%23@h/", RedisUrl("h", 6379, 0, True, None, "a/b#")),
        ("rediss://us%3Aer:p%40ss@h:6380", RedisUrl("h", 6380, 0, True, "us:er", "p@ss")),
    ],
)
def test_a_url_is_parsed(url: str, expected: RedisUrl) -> None:
    """User name and password are percent-decoded once; rediss:// is TLS."""
    assert RedisUrl.parse(url) == expected


@pytest.mark.parametrize("url", ["rediss://h", "rediss://user:pass@h:6380/1"])
def test_certificates_and_host_names_are_checked(url: str) -> None:
    """The scheme is enough."""
    context = RedisUrl.parse(url).ssl_context
    assert context is not None
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


def test_without_tls_there_is_no_ssl_context() -> None:
    assert RedisUrl.parse("redis://h").ssl_context is None


@pytest.mark.parametrize(
    ("url", "message"),
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
def test_the_message_has_no_part_of_the_url(
    url: str,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It names the variable. A password with reserved characters may end up in any part of the URL."""
    monkeypatch.setenv("REDIS_URL", url)
    with pytest.raises(SystemExit):
        load(CoreSettings)
    (line,) = [
        line for line in capsys.readouterr().err.splitlines() if line.startswith("REDIS_URL: ")
    ]
    assert message in line
    assert SECRET not in line


def test_a_file_without_certificates_is_rejected(tmp_path: Path) -> None:
    """So is a truncated file."""
    file = tmp_path / "ca.pem"
    for content in ("", "-----BEGIN CERTIFICATE-----\nMIIB"):
        file.write_text(content)
        with pytest.raises(ValueError, match="holds no certificate"):
            RedisUrl.parse(f"rediss://h?ssl_ca_certs={file}")


async def test_no_repr_has_the_password() -> None:
    """Of a URL, a client, a pool or a connection."""
    url = f"rediss://user:{SECRET}@h"
    parsed, connection = RedisUrl.parse(url), RedisConnection(url)
    client = new_client(parsed, socket_timeout=1)
    subscriber = connection.subscriber_client()
    for each in (parsed, client, client.connection_pool, connection, subscriber):
        assert SECRET not in f"{each!r} {each}"
    await client.aclose()
    await connection.close()


async def test_all_connections_share_one_ssl_context() -> None:
    """Making one takes about as long as the connect timeout."""
    connection = RedisConnection("rediss://h")
    for client in (connection._client, connection.subscriber_client()):
        socket = client.connection_pool.make_connection()  # type: ignore[no-untyped-call]
        assert isinstance(socket, SSLConnection)
        assert socket.ssl_context.get() is connection._url.ssl_context
    await connection.close()
