"""Proxies from the environment, in the SDK's forms."""

import asyncio

import aiohttp
import pytest

from core.aws.http import Limits
from harness.fake_aws import HANG_TIMEOUT_S, http_clients_of, listen, send


@pytest.mark.parametrize("scheme", ["http://", ""], ids=["with scheme", "host and port alone"])
async def test_a_proxy_gets_a_connect_request(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTPS_PROXY often has no scheme; curl and the SDK accept that."""
    received: list[bytes] = []

    async def serve(
        _number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        received.append(await reader.readline())
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")

    async with asyncio.timeout(HANG_TIMEOUT_S), listen(serve) as url:
        monkeypatch.setenv("HTTPS_PROXY", url.replace("http://", scheme))
        for name in ("https_proxy", "NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        async with http_clients_of("https://aws.invalid", Limits()) as http:
            with pytest.raises(aiohttp.ClientHttpProxyError):
                await send(http)
    assert received == [b"CONNECT aws.invalid:443 HTTP/1.1\r\n"]
