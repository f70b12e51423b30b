"""What a failed exchange with an origin means, in terms of the error tree.

The failures carry no detail: aiohttp's texts name addresses that customers must not learn.
"""

import aiohttp

from core.errors import (
    BadResponse,
    BlockedAddress,
    ConnectFailed,
    DnsFailed,
    ImageFailure,
    Timeout,
    TlsFailed,
)

TRANSPORT_ERRORS = (aiohttp.ClientError, OSError, IndexError)
"""What aiohttp raises; IndexError is what is left when each address of a host was refused oddly."""


def to_image_failure(error: Exception, *, refused: bool) -> ImageFailure:
    """Translate an error of TRANSPORT_ERRORS; `refused` tells that the guard refused an address.

    A refusal counts only where no connection came about: a host may have other addresses.
    """
    if refused and _is_without_connection(error):
        return BlockedAddress()
    match error:
        case aiohttp.ClientConnectorDNSError():
            return DnsFailed()
        case aiohttp.ClientConnectorCertificateError():
            return TlsFailed()
        case TimeoutError():
            return Timeout()
        case aiohttp.ClientPayloadError() | aiohttp.ClientResponseError() | aiohttp.InvalidURL():
            return BadResponse()
        case _:
            return ConnectFailed()


def _is_without_connection(error: Exception) -> bool:
    if isinstance(error, aiohttp.ClientSSLError):
        return False
    return isinstance(
        error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError | IndexError
    )
