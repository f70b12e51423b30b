"""Decides which credentials a request carries, and which objects of S3 a customer may fetch. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from urllib.parse import unquote

from core.model.origin_url import DEFAULT_PORTS, OriginUrl

_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Customers:
    """The customers that an entry is for: the named ones, or all."""

    names: frozenset[str]
    all: bool = False

    def __contains__(self, customer_id: str) -> bool:
        return self.all or customer_id in self.names


@dataclass(frozen=True, slots=True)
class Credential:
    """Headers for the requests of some customers to some hosts.

    hosts: names in lower case, or `*.` and a name for all names below it. port: None for the default port of the
    scheme. path_prefix: a path up to the end of a segment. allow_http: whether the headers may be sent without TLS.
    """

    name: str
    hosts: tuple[str, ...]
    customers: Customers
    headers: Mapping[str, str] = field(repr=False)
    port: int | None = None
    path_prefix: str = "/"
    allow_http: bool = False

    def covers(self, url: OriginUrl, customer_id: str) -> bool:
        """Return whether the headers may be sent. The caller has compared the host."""
        port = DEFAULT_PORTS[url.scheme] if self.port is None else self.port
        return (
            (url.scheme == "https" or self.allow_http)
            and url.port == port
            and customer_id in self.customers
            and _is_below(url.target.partition("?")[0], self.path_prefix)
        )


@dataclass(frozen=True, slots=True)
class BucketAccess:
    """A bucket, and the beginnings of the keys that some customers may fetch from it.

    A beginning need not end at a slash, as in policies of IAM and in ListObjects: keys of S3 have no folders.
    """

    bucket: str
    prefixes: tuple[str, ...]
    customers: Customers


class PrivateOrigins:
    """The entries of one version of the file. The first credential that fits is sent."""

    def __init__(
        self, credentials: Sequence[Credential] = (), buckets: Sequence[BucketAccess] = ()
    ) -> None:
        self._by_host: dict[str, list[tuple[int, Credential]]] = {}
        for position, credential in enumerate(credentials):
            for host in credential.hosts:
                self._by_host.setdefault(host, []).append((position, credential))
        self._buckets = tuple(buckets)

    def headers_for(self, url: OriginUrl, customer_id: str) -> Mapping[str, str]:
        """Return the headers of this customer's requests for `url`; an empty mapping without credentials."""
        if not self._by_host:
            return _NO_HEADERS
        fitting = [
            (position, credential)
            for pattern in _patterns_of(url.host.removesuffix("."))
            for position, credential in self._by_host.get(pattern, ())
            if credential.covers(url, customer_id)
        ]
        return min(fitting, key=lambda each: each[0])[1].headers if fitting else _NO_HEADERS

    def allows_object(self, bucket: str, key: str, customer_id: str) -> bool:
        return any(
            entry.bucket == bucket
            and customer_id in entry.customers
            and key.startswith(entry.prefixes)
            for entry in self._buckets
        )


def _patterns_of(host: str) -> Iterator[str]:
    """Yield the host itself, and a pattern for each name above it."""
    yield host
    _, dot, above = host.partition(".")
    while dot:
        yield f"*.{above}"
        _, dot, above = above.partition(".")


def _is_below(path: str, prefix: str) -> bool:
    """Return whether a path is the prefix or below it: /a/b is below /a, and /ab is not.

    A path that may leave the prefix is not below it. Only the prefix "/" cannot be left.
    """
    if path != prefix and not path.startswith(prefix if prefix.endswith("/") else f"{prefix}/"):
        return False
    return prefix == "/" or not _may_leave(path)


def _may_leave(path: str) -> bool:
    """Return whether a server may read a dot segment in a path without one.

    Some servers decode "%2f", also twice, take a backslash for a slash, or drop the parameters of a segment ("..;a"),
    before they resolve dot segments.
    """
    plain = unquote(unquote(path)).replace("\\", "/")
    return any(segment.partition(";")[0] == ".." for segment in plain.split("/"))
