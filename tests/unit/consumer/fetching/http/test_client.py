"""Translation of transport errors into failures of the image."""

import socket
import ssl

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from consumer.fetching.http.client import to_image_failure
from consumer.fetching.http.response_head import LastingDefect
from core.errors import (
    BadResponse,
    BlockedAddress,
    BrokenResponse,
    ConnectFailed,
    DnsFailed,
    ImageFailure,
    Timeout,
    TlsFailed,
)

KEY = ConnectionKey(
    "internal.example",
    443,
    is_ssl=True,
    ssl=True,
    proxy=None,
    proxy_auth=None,
    proxy_headers_hash=None,
)
REQUEST = aiohttp.RequestInfo(
    URL("http://internal.example"),
    "GET",
    CIMultiDictProxy(CIMultiDict()),
)

REFUSED = aiohttp.ClientConnectorError(KEY, ConnectionRefusedError(111, "10.0.0.1"))
CERTIFICATE = aiohttp.ClientConnectorCertificateError(KEY, ssl.SSLCertVerificationError("10.0.0.1"))
BLOCKED = BlockedAddress()
DISCONNECTED = aiohttp.ServerDisconnectedError()
CONNECT_TIMEOUT = aiohttp.ConnectionTimeoutError("10.0.0.1")


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (aiohttp.ClientConnectorDNSError(KEY, socket.gaierror(-2, "10.0.0.1")), DnsFailed),
        (REFUSED, ConnectFailed),
        (CERTIFICATE, TlsFailed),
        (aiohttp.ClientConnectorSSLError(KEY, ssl.SSLError("10.0.0.1")), ConnectFailed),
        (CONNECT_TIMEOUT, Timeout),
        (DISCONNECTED, ConnectFailed),
        (aiohttp.ClientOSError(104, "10.0.0.1"), ConnectFailed),
        (aiohttp.ClientPayloadError("10.0.0.1"), BrokenResponse),
        (LastingDefect("it is not HTTP"), BadResponse),
        (aiohttp.ClientResponseError(REQUEST, (), message="10.0.0.1"), BrokenResponse),
        (aiohttp.InvalidURL("http://10.0.0.1"), BrokenResponse),
        (IndexError("10.0.0.1"), ConnectFailed),
    ],
)
def test_each_error_has_its_failure(error: Exception, failure: type[ImageFailure]) -> None:
    """The failure names the phase, and its text does not contain the address."""
    translated = to_image_failure(error, blocked=None)
    assert type(translated) is failure
    assert "10.0.0.1" not in str(translated)
    assert "internal" not in str(translated)


@pytest.mark.parametrize("error", [REFUSED, CONNECT_TIMEOUT, IndexError()])
def test_a_blocked_address_without_a_connection_decides(error: Exception) -> None:
    """The errors of the host's other addresses do not count."""
    assert to_image_failure(error, blocked=BLOCKED) is BLOCKED


@pytest.mark.parametrize(
    ("error", "failure"), [(DISCONNECTED, ConnectFailed), (CERTIFICATE, TlsFailed)]
)
def test_a_blocked_address_beside_a_connection_does_not_count(
    error: Exception, failure: type[ImageFailure]
) -> None:
    """A host may have one blocked address and be reachable by another."""
    assert type(to_image_failure(error, blocked=BLOCKED)) is failure


def test_a_lasting_defect_is_told_to_the_customer() -> None:
    """Its text is ours, and has no address."""
    failure = to_image_failure(LastingDefect("it declares several lengths"), blocked=None)
    assert failure.detail == "it declares several lengths"
