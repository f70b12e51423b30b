"""Calls to an Amazon OpenSearch Service domain, signed with the process's credentials."""

from collections.abc import Mapping
from typing import Any

from aiobotocore.session import get_session
from botocore.exceptions import NoCredentialsError, NoRegionError
from opensearchpy import AWSV4SignerAsyncAuth

_SERVICE = "es"
_SIGNED = ("content-type", "host")
"""Headers that say what a call is; the others are for the next machine on the way, which may change them."""


class Signer:
    """Credentials renew themselves, which is I/O: call `renew` before what is signed."""

    def __init__(self) -> None:
        self._session = get_session()
        self._source: Any = None
        self._sign: AWSV4SignerAsyncAuth | None = None

    async def renew(self) -> None:
        """Raises botocore's errors."""
        if self._source is None:
            self._source = await self._session.get_credentials()
        if self._source is None:
            raise NoCredentialsError
        region = self._session.get_config_variable("region")
        if region is None:
            raise NoRegionError
        frozen = await self._source.get_frozen_credentials()
        self._sign = AWSV4SignerAsyncAuth(frozen, region, _SERVICE)

    def __call__(
        self, method: str, url: str, body: str | bytes | None, headers: Mapping[str, str]
    ) -> dict[str, str]:
        """The headers that are added; called by the client for each call."""
        if self._sign is None:
            raise NoCredentialsError
        told = {name: value for name, value in headers.items() if name.lower() in _SIGNED}
        return self._sign(method, url, body, told)
