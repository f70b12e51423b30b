"""The parsed REDIS_URL: redis://[[name]:password@]host[:port][/database], or rediss:// for TLS. Pure."""

import ssl
from dataclasses import dataclass, field
from functools import cached_property
from typing import Self
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from core.model.origin_url import has_host

_PORT = 6379
_CA_CERTS = "ssl_ca_certs"
_MAX_DATABASE_DIGITS = 5


@dataclass(frozen=True)
class RedisUrl:
    """With `tls`, the server's certificate must be valid for `host` and signed by a trusted CA.

    `ca_certs` is the path of a PEM file of trusted CAs; None means the CAs of the system.
    """

    host: str
    port: int
    database: int
    tls: bool
    username: str | None = field(repr=False)
    password: str | None = field(repr=False)
    ca_certs: str | None = None

    @classmethod
    def parse(cls, url: str) -> Self:
        """Parse REDIS_URL. Raises ValueError; its text has no part of `url`, since any part may be of a password."""
        if not url.startswith(("redis://", "rediss://")):
            raise ValueError("it must begin with redis:// or rediss://")
        if not has_host(url):
            raise ValueError(
                "it must name a host, and a port if that is not 6379; name and password are percent-encoded"
            )
        parts = urlsplit(url)
        tls = parts.scheme == "rediss"
        parsed = cls(
            host=parts.hostname or "",
            port=parts.port or _PORT,
            database=_database(parts),
            tls=tls,
            username=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
            ca_certs=_ca_certs(parts, tls=tls),
        )
        if parsed.ca_certs is not None:
            parsed._check_ca_certs()
        return parsed

    @cached_property
    def ssl_context(self) -> ssl.SSLContext | None:
        """The SSL context of all connections; None without TLS.

        Loading the CAs of the system blocks the event loop for up to 0.1 s, so it is done once.
        """
        if not self.tls:
            return None
        context = ssl.create_default_context(cafile=self.ca_certs)
        # Debian's Python takes the minimum from the configuration of OpenSSL, which may have none.
        context.minimum_version = max(context.minimum_version, ssl.TLSVersion.TLSv1_2)
        return context

    def _check_ca_certs(self) -> None:
        try:
            _ = self.ssl_context
        except ssl.SSLError:
            raise ValueError(f"the file of {_CA_CERTS} holds no certificate") from None
        except OSError as error:
            raise ValueError(f"the file of {_CA_CERTS} cannot be read: {error.strerror}") from None


def _database(parts: SplitResult) -> int:
    number = parts.path.removeprefix("/")
    if parts.fragment or (
        number
        and not (number.isascii() and number.isdecimal() and len(number) <= _MAX_DATABASE_DIGITS)
    ):
        raise ValueError(
            "only a database number, as in /0, may follow the host; "
            "name and password are percent-encoded"
        )
    return int(number or 0)


def _ca_certs(parts: SplitResult, *, tls: bool) -> str | None:
    # All other parameters of the client weaken TLS or remove the timeouts of calls.
    members = parse_qsl(parts.query, keep_blank_values=True)
    if not members and not parts.query:
        return None
    if len(members) != 1 or members[0][0] != _CA_CERTS or not members[0][1]:
        raise ValueError(
            f"after ? there may be {_CA_CERTS}= and the path of a PEM file, and nothing else; certificates are always "
            "checked; name and password are percent-encoded"
        )
    if not tls:
        raise ValueError(f"{_CA_CERTS} needs rediss://: without TLS there is no certificate")
    return members[0][1]
