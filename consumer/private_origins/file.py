"""Reads the file of private origins, CREDENTIALS_FILE. Its values are secrets: no error and no repr contains them.

[[origins]]
name = "shop"                                  # for messages of the log
hosts = ["img.shop.example", "*.cdn.example"]  # a name, or all names below one
customers = ["acme"]                           # or ["*"]
bearer = "a token"                             # or basic = { user = "…", password = "…" }
headers = { X-Api-Key = "a key" }
user_agent = "acme importer"
referer = "https://shop.example/"
port = 8443                                    # the default port of the scheme without it
path_prefix = "/private"
allow_http = true                              # send the headers without TLS too

[[buckets]]
bucket = "acme-uploads"
prefixes = ["photos/"]                         # beginnings of keys; [""] for all
customers = ["acme"]
"""

import re
import tomllib
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    ValidationError,
    model_validator,
)

from consumer.private_origins.access import BucketAccess, Credential, Customers, PrivateOrigins
from core.model.host import InvalidHost, parse_host
from core.model.object_url import is_bucket_name
from core.model.request import CUSTOMER_ID

MAX_ENTRIES = 1_000
MAX_FILE_BYTES = 1_048_576
"""The largest secret of Kubernetes. One of Secrets Manager has at most 65,536 bytes."""
MAX_HEADERS = 16
MAX_HEADER_BYTES = 4_096

_ANY = "*"
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
_VALUE = re.compile(r"[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?")
"""Printable ASCII without spaces at its ends: no line break can add a header (RFC 9110, section 5.5)."""
_RESERVED_HEADERS = frozenset(
    {
        # Of one connection (RFC 9110, section 7.6.1).
        *(
            "connection",
            "keep-alive",
            "proxy-authenticate",
            "proxy-authorization",
            "proxy-connection",
        ),
        *("te", "trailer", "transfer-encoding", "upgrade"),
        # They frame the request, or choose another response than the whole current image.
        *(
            "host",
            "content-length",
            "content-type",
            "expect",
            "accept-encoding",
            "range",
            "if-range",
        ),
        *("if-match", "if-none-match", "if-modified-since", "if-unmodified-since"),
    }
)


def _host_pattern(pattern: str) -> str:
    wildcard, name = ("*.", pattern[2:]) if pattern.startswith("*.") else ("", pattern)
    try:
        host = parse_host(name).removesuffix(".")
    except InvalidHost:
        raise ValueError("it must be the name of a host, or *. and a name") from None
    if wildcard and (host.replace(".", "").isdigit() or ":" in host):
        raise ValueError("no name is below an address")
    return wildcard + host


def _customer(customer_id: str) -> str:
    if customer_id != _ANY and not CUSTOMER_ID.fullmatch(customer_id):
        raise ValueError('it must be a customer id, or "*" for all')
    return customer_id


def _bucket(name: str) -> str:
    if not is_bucket_name(name):
        raise ValueError("it must be the name of a bucket")
    return name


def _header_value(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if len(text) > MAX_HEADER_BYTES or not _VALUE.fullmatch(text):
        raise ValueError(f"it must be 1 to {MAX_HEADER_BYTES} printable ASCII characters")
    return value


def _header_name(name: str) -> str:
    if not _TOKEN.fullmatch(name) or name.lower() in _RESERVED_HEADERS:
        raise ValueError("it is no header that may be set")
    return name


HostPattern = Annotated[str, AfterValidator(_host_pattern)]
CustomerIds = Annotated[tuple[Annotated[str, AfterValidator(_customer)], ...], Field(min_length=1)]
Secret = Annotated[SecretStr, AfterValidator(_header_value)]
HeaderName = Annotated[str, AfterValidator(_header_name)]
_CONFIG = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class BasicTable(BaseModel):
    """User and password of the Basic scheme (RFC 7617)."""

    model_config = _CONFIG

    user: Annotated[str, StringConstraints(pattern=r"^[^:\x00-\x1f\x7f]*$", max_length=256)]
    password: Annotated[SecretStr, Field(max_length=1_024)]

    @property
    def authorization(self) -> str:
        pair = f"{self.user}:{self.password.get_secret_value()}"
        return f"Basic {b64encode(pair.encode()).decode()}"


class OriginTable(BaseModel):
    """Credentials for the requests to some hosts."""

    model_config = _CONFIG

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
    hosts: Annotated[tuple[HostPattern, ...], Field(min_length=1, max_length=100)]
    customers: CustomerIds
    bearer: Secret | None = None
    basic: BasicTable | None = None
    headers: Annotated[dict[HeaderName, Secret], Field(max_length=MAX_HEADERS)] = {}
    user_agent: Secret | None = None
    referer: Secret | None = None
    port: Annotated[int, Field(ge=1, le=65_535)] | None = None
    path_prefix: Annotated[str, StringConstraints(pattern=r"^/[!-~]*$", max_length=1_024)] = "/"
    allow_http: bool = False

    @model_validator(mode="after")
    def _sets_each_header_once(self) -> Self:
        names = [name.lower() for name, _ in self._header_items()]
        if not names:
            raise ValueError("it sets no header")
        if len(names) != len(set(names)):
            raise ValueError("it sets a header twice")
        return self

    def _header_items(self) -> Iterator[tuple[str, str]]:
        for name, value in self.headers.items():
            yield name, value.get_secret_value()
        if self.bearer is not None:
            yield "Authorization", f"Bearer {self.bearer.get_secret_value()}"
        if self.basic is not None:
            yield "Authorization", self.basic.authorization
        if self.user_agent is not None:
            yield "User-Agent", self.user_agent.get_secret_value()
        if self.referer is not None:
            yield "Referer", self.referer.get_secret_value()

    @property
    def credential(self) -> Credential:
        return Credential(
            name=self.name,
            hosts=self.hosts,
            customers=_customers(self.customers),
            headers=dict(self._header_items()),
            port=self.port,
            path_prefix=self.path_prefix,
            allow_http=self.allow_http,
        )


class BucketTable(BaseModel):
    """Objects that some customers may fetch with an s3:// URL."""

    model_config = _CONFIG

    bucket: Annotated[str, AfterValidator(_bucket)]
    prefixes: Annotated[
        tuple[Annotated[str, StringConstraints(max_length=1_024)], ...], Field(min_length=1)
    ]
    customers: CustomerIds

    @property
    def access(self) -> BucketAccess:
        return BucketAccess(self.bucket, self.prefixes, _customers(self.customers))


class PrivateOriginFile(BaseModel):
    """The content of the file, and its path."""

    model_config = _CONFIG

    path: Path
    origins: Annotated[tuple[OriginTable, ...], Field(max_length=MAX_ENTRIES)] = ()
    buckets: Annotated[tuple[BucketTable, ...], Field(max_length=MAX_ENTRIES)] = ()

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        names = [table.name for table in self.origins]
        if len(names) != len(set(names)):
            raise ValueError("two origins have the same name")
        return self

    @property
    def private_origins(self) -> PrivateOrigins:
        return PrivateOrigins(
            [table.credential for table in self.origins], [table.access for table in self.buckets]
        )


def _customers(names: tuple[str, ...]) -> Customers:
    return Customers(frozenset(names), all=_ANY in names)


def _read(path: object) -> object:
    """Return the content of the file, not validated. Raises ValueError with the reason."""
    if not isinstance(path, str | Path):
        return path
    try:
        with Path(path).open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from None
    if len(content) > MAX_FILE_BYTES:
        raise ValueError(f"{path}: it is larger than {MAX_FILE_BYTES:,} bytes")
    try:
        tables = tomllib.loads(content.decode())
    except UnicodeDecodeError:
        raise ValueError(f"{path}: it is not UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        # The rest of the error's text may have a character of a secret.
        place = re.search(r"\(at [^)]*\)$", str(error))
        raise ValueError(f"{path}: it is not TOML {place[0] if place else ''}".rstrip()) from None
    except RecursionError:
        raise ValueError(f"{path}: its values are nested too deeply") from None
    if "path" in tables:
        raise ValueError(f"{path}: path: Extra inputs are not permitted")
    return {**tables, "path": Path(path)}


ReadPrivateOriginFile = Annotated[PrivateOriginFile, BeforeValidator(_read)]
"""The type of a setting whose variable has the path of the file, and whose value is the content."""


class FaultyFile(ValueError):
    """The file cannot be used. `faults` has one text for each fault, without values of the file."""

    def __init__(self, faults: tuple[str, ...]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


def read_private_origins(path: Path) -> PrivateOriginFile:
    """Read the file again. Raises FaultyFile."""
    try:
        return PrivateOriginFile.model_validate(_read(path))
    except ValidationError as error:
        faults = (
            ": ".join([*([".".join(map(str, fault["loc"]))] if fault["loc"] else []), fault["msg"]])
            for fault in error.errors(include_input=False, include_context=False)
        )
        raise FaultyFile(tuple(faults)) from None
    except ValueError as error:
        raise FaultyFile((str(error),)) from None
