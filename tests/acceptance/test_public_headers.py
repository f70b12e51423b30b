"""The response headers of an object at its public URL."""

import asyncio
from typing import Any

import aiohttp
import pytest

from cli.local.stack import TEMPLATE
from harness.images import IMAGES
from harness.origin import origin
from harness.permissions import load_template
from harness.system import System

YEAR_S = 31_536_000
SAMPLES = {
    "image/jpeg": "rocket-progressive.jpg",
    "image/png": "astronaut.png",
    "image/gif": "rocket-animated.gif",
    "image/webp": "coffee.webp",
    "image/avif": "cat.avif",
    "image/heic": "cat.heic",
    "image/tiff": "flower.tiff",
    "image/bmp": "astronaut.bmp",
}
"""One sample of each accepted format."""
HEADERS = ("Content-Type", "Cache-Control", "Content-Encoding")
BROWSER = {
    "Accept": "image/avif,image/webp,*/*;q=0.8",
    "Accept-Encoding": "gzip, deflate, br, zstd",
}


async def test_an_object_has_its_media_type_and_is_immutable(running: System) -> None:
    """Every format, with the request headers of a browser. The origin had declared another media type."""
    bodies = {
        name: await asyncio.to_thread((IMAGES / name).read_bytes) for name in SAMPLES.values()
    }
    async with origin(bodies) as images:
        ids = {
            media_type: await running.submit(f"{images.base}/bodies/{name}")
            for media_type, name in SAMPLES.items()
        }
        ended = await running.wait_terminal(ids.values())
    found = {}
    async with aiohttp.ClientSession(headers=BROWSER, auto_decompress=False) as session:
        for media_type, request_id in ids.items():
            image = ended[request_id].image
            assert image.metadata.provenance.declared_media_type == "application/octet-stream"
            async with session.get(image.public_url) as answer:
                assert len(await answer.read()) == image.metadata.bytes
                found[media_type] = tuple(answer.headers.get(name) for name in HEADERS)
    immutable = f"public, max-age={YEAR_S}, immutable"
    assert found == {media_type: (media_type, immutable, None) for media_type in SAMPLES}


@pytest.fixture(scope="module")
def resources() -> dict[str, Any]:
    """The resources of the template; the emulator has no CDN."""
    found: dict[str, Any] = load_template(TEMPLATE)["Resources"]
    return found


def test_the_distribution_speaks_http_3_and_compresses_no_image(
    resources: dict[str, Any],
) -> None:
    distribution = resources["Distribution"]["Properties"]["DistributionConfig"]
    assert distribution["HttpVersion"] == "http2and3"
    assert distribution["DefaultCacheBehavior"]["Compress"] is False
    # No other cache behaviour can omit the headers.
    assert "CacheBehaviors" not in distribution


def test_every_response_of_the_distribution_has_the_security_headers(
    resources: dict[str, Any],
) -> None:
    """The headers of an object override none of them. Browsers use HTTPS for a year."""
    behavior = resources["Distribution"]["Properties"]["DistributionConfig"]["DefaultCacheBehavior"]
    policy = resources[behavior["ResponseHeadersPolicyId"]["Ref"]]["Properties"]
    headers = policy["ResponseHeadersPolicyConfig"]["SecurityHeadersConfig"]
    assert headers == {
        "ContentTypeOptions": {"Override": True},
        "ContentSecurityPolicy": {
            "ContentSecurityPolicy": "default-src 'none'; sandbox",
            "Override": True,
        },
        "StrictTransportSecurity": {"AccessControlMaxAgeSec": YEAR_S, "Override": True},
    }
