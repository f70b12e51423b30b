"""The headers of each request of one fetch that not every request has: credentials, conditions and cookies. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from urllib.parse import unquote

from consumer.fetching.http.client import NO_HEADERS
from consumer.fetching.http.cookies import FetchCookies
from core.model.image import Provenance
from core.model.origin_url import OriginUrl

CredentialsFor = Callable[[OriginUrl, str], Mapping[str, str]]
"""Returns the headers of a customer's requests for a URL."""

_IF_NONE_MATCH = "If-None-Match"
_IF_MODIFIED_SINCE = "If-Modified-Since"
_PUBLIC = frozenset({"user-agent", "referer"})
_MIN_SECRET = 4
"""Shorter parts of a header, such as the name of its scheme's parameter, occur by chance."""


@dataclass(frozen=True, slots=True)
class Validator:
    """The version that an earlier response had (RFC 9110, section 8.8).

    request_url: the URL that answered. An ETag is unique only among the versions of one URL, so it is sent to no other.
    """

    request_url: str
    etag: str
    last_modified: str

    def headers_for(self, hop: OriginUrl) -> Mapping[str, str]:
        if hop.request_url != self.request_url:
            return NO_HEADERS
        if self.etag:
            return {_IF_NONE_MATCH: self.etag}
        return {_IF_MODIFIED_SINCE: self.last_modified} if self.last_modified else NO_HEADERS


class HopHeaders:
    """Chooses the headers of one fetch, hop by hop."""

    __slots__ = ("_credentials_for", "_host", "_secrets", "_validator", "cookies", "customer_id")

    def __init__(
        self,
        origin: OriginUrl,
        customer_id: str,
        credentials_for: CredentialsFor,
        validator: Validator | None = None,
    ) -> None:
        self._host = origin.host.removesuffix(".")
        self.customer_id = customer_id
        self._credentials_for = credentials_for
        self._validator = validator
        self._secrets: set[str] = set()
        self.cookies = FetchCookies()

    def of(self, hop: OriginUrl) -> Mapping[str, str]:
        """Return the headers of the next request.

        No request has credentials after a redirect to another host: not those of the first host, because the other
        must not see them, and not its own, because the first host, not the customer, has chosen what to request.
        """
        if hop.host.removesuffix(".") != self._host:
            self._credentials_for = no_credentials
        headers = self._credentials_for(hop, self.customer_id)
        if headers:
            self._secrets.update(_secret_parts(headers))
        if self._validator is not None and (conditions := self._validator.headers_for(hop)):
            return {**headers, **conditions}
        return headers

    def cookie_field(self, hop: OriginUrl, sent: Mapping[str, str]) -> bytes:
        """Return the line of the cookies that the origin has set. Those of a credential, in `sent`, replace them."""
        own = bool(sent) and any(name.lower() == "cookie" for name in sent)
        return b"" if own else self.cookies.header(hop)

    def without_secrets(self, provenance: Provenance) -> Provenance:
        """Empty each value in which the origin has sent back a credential: it would be stored and published."""
        if not self._secrets:
            return provenance
        return replace(
            provenance,
            final_url=self._redacted(provenance.final_url),
            etag=self._redacted(provenance.etag),
            last_modified=self._redacted(provenance.last_modified),
            declared_media_type=self._redacted(provenance.declared_media_type),
        )

    def _redacted(self, text: str) -> str:
        plain = (text + unquote(text)).lower()
        return "" if any(secret in plain for secret in self._secrets) else text


def is_conditional(headers: Mapping[str, str]) -> bool:
    """Return whether the origin may answer a request with 304."""
    return _IF_NONE_MATCH in headers or _IF_MODIFIED_SINCE in headers


def no_credentials(_hop: OriginUrl, _customer_id: str) -> Mapping[str, str]:
    return NO_HEADERS


def _secret_parts(headers: Mapping[str, str]) -> set[str]:
    values = [value for name, value in headers.items() if name.lower() not in _PUBLIC]
    return {
        part.lower()
        for value in values
        for part in (value, value.rpartition(" ")[2])
        if len(part) >= _MIN_SECRET
    }
