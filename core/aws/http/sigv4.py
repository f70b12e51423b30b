"""AWS Signature Version 4 for requests without a query string. Pure.

Source: "Create a signed AWS API request", AWS Identity and Access Management User Guide. Tested against the SDK's
signer.
"""

import hashlib
import hmac
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol
from urllib.parse import quote

from botocore.utils import normalize_url_path

_S3 = "s3"


class Credentials(Protocol):
    """The SDK's frozen credentials."""

    @property
    def access_key(self) -> str: ...
    @property
    def secret_key(self) -> str: ...
    @property
    def token(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class CredentialScope:
    """The region and service that a signature is valid for. Its day is added when it is made."""

    region: str
    service: str


def sign(
    headers: Mapping[str, str],
    *,
    method: str,
    path: str,
    payload_sha256: str,
    credentials: Credentials,
    scope: CredentialScope,
    now: float,
) -> dict[str, str]:
    """Return the headers with date, token and signature added. All of them are signed.

    headers: names in lower case, `host` among them. path: percent-encoded, as it is sent. payload_sha256: hexadecimal.
    now: seconds since the epoch.
    """
    date = _amz_date(int(now))
    all_headers = {**headers, "x-amz-date": date}
    if credentials.token:
        all_headers["x-amz-security-token"] = credentials.token
    names = sorted(all_headers)
    canonical = "".join([f"{name}:{all_headers[name]}\n" for name in names])
    joined = ";".join(names)
    canonical_path = path if scope.service == _S3 else _canonical_path(path)
    request = f"{method}\n{canonical_path}\n\n{canonical}\n{joined}\n{payload_sha256}"
    day = date[:8]
    valid_for = f"{day}/{scope.region}/{scope.service}/aws4_request"
    digest = hashlib.sha256(request.encode()).hexdigest()
    to_sign = f"AWS4-HMAC-SHA256\n{date}\n{valid_for}\n{digest}"
    # A copy, because to prepare a key takes longer than the rest.
    keyed = _keyed_hash(credentials.secret_key, day, scope).copy()
    keyed.update(to_sign.encode())
    signature = keyed.hexdigest()
    all_headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={credentials.access_key}/{valid_for}, "
        f"SignedHeaders={joined}, Signature={signature}"
    )
    return all_headers


@lru_cache(maxsize=16)
def _canonical_path(path: str) -> str:
    """Encode the path a second time and remove dot segments. Only S3 signs the path as it is."""
    return quote(normalize_url_path(path), safe="/~")


@lru_cache(maxsize=2)
def _amz_date(now: int) -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))


@lru_cache(maxsize=16)
def _keyed_hash(secret_key: str, day: str, scope: CredentialScope) -> hmac.HMAC:
    key = f"AWS4{secret_key}".encode()
    for part in (day, scope.region, scope.service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.new(key, digestmod="sha256")
