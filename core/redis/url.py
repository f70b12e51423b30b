"""Where Redis is, as REDIS_URL says it: redis://[[name]:password@]host[:port][/database], or rediss:// for TLS."""

import ssl
from dataclasses import dataclass, field
from functools import cached_property
from typing import Self
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from core.model.origin_url import names_host

_PORT = 6379
_AUTHORITIES = "ssl_ca_certs"
_LONGEST_DATABASE = 5
"""Digits."""


@dataclass(frozen=True)
class RedisUrl:
    """With `tls`, only a server is spoken to whose certificate is of `host`, and of an authority that is trusted.

    `authorities` is a PEM file of those that are trusted in the place of the system's.
    """

    host: str
    port: int
    database: int
    tls: bool
    username: str | None = field(repr=False)
    password: str | None = field(repr=False)
    authorities: str | None = None

    @classmethod
    def parse(cls, url: str) -> Self:
        """Raises ValueError, whose text has no part of `url`: any may turn out to be of a password."""
        if not url.startswith(("redis://", "rediss://")):
            raise ValueError("it must begin with redis:// or rediss://")
        if not names_host(url):
            raise ValueError(
                "it must name a host, and a port where that is not 6379; name and password are percent-encoded"
            )
        parts = urlsplit(url)
        tls = parts.scheme == "rediss"
        place = cls(
            host=parts.hostname or "",
            port=parts.port or _PORT,
            database=_database(parts),
            tls=tls,
            username=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
            authorities=_authorities(parts, tls=tls),
        )
        if place.authorities is not None:
            place._try_authorities()
        return place

    @cached_property
    def trusted(self) -> ssl.SSLContext | None:
        """What a certificate is checked against, None without TLS; one for all connections.

        The system's authorities are many: making it takes up to a tenth of a second, in which nothing else is done.
        """
        return ssl.create_default_context(cafile=self.authorities) if self.tls else None

    def _try_authorities(self) -> None:
        try:
            _ = self.trusted
        except ssl.SSLError:
            raise ValueError(f"the file that {_AUTHORITIES} names holds no certificate") from None
        except OSError as error:
            raise ValueError(
                f"the file that {_AUTHORITIES} names cannot be read: {error.strerror}"
            ) from None


def _database(parts: SplitResult) -> int:
    number = parts.path.removeprefix("/")
    if parts.fragment or (
        number
        and not (number.isascii() and number.isdecimal() and len(number) <= _LONGEST_DATABASE)
    ):
        raise ValueError(
            "after the host there may be a database's number, as in /0, and no other path; "
            "name and password are percent-encoded"
        )
    return int(number or 0)


def _authorities(parts: SplitResult, *, tls: bool) -> str | None:
    # Of what the client could be told there, all else weakens TLS or takes the bounds off a call.
    members = parse_qsl(parts.query, keep_blank_values=True)
    if not members and not parts.query:
        return None
    if len(members) != 1 or members[0][0] != _AUTHORITIES or not members[0][1]:
        raise ValueError(
            f"after ? there may be {_AUTHORITIES}=, the path of a PEM file, and nothing else; certificates are "
            "always checked; name and password are percent-encoded"
        )
    if not tls:
        raise ValueError(f"{_AUTHORITIES} needs rediss://, for without TLS there is no certificate")
    return members[0][1]
