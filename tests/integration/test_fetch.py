"""One fetch attempt, against servers on the loopback interface."""

import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from ipaddress import ip_network

import pytest
from aiohttp import web
from aiohttp.abc import ResolveResult

from consumer.fetching.fetcher import Fetcher, FetchPolicy, FetchResult
from consumer.fetching.hop_headers import Validator
from consumer.fetching.limits.host_customer import HostBusy
from core.errors import (
    BadRedirect,
    BadResponse,
    BlockedAddress,
    DnsFailed,
    ImageFailure,
    NotFound,
    OptedOut,
    OriginError,
    OriginRefused,
    RateLimited,
    TooManyRedirects,
)
from core.model.image import Provenance
from harness.origin import Origin, origin, redirect_to, reply_with
from harness.raw_origin import TableResolver
from harness.reserved_port import closed_port

POLICY = FetchPolicy(
    allowed_networks=(ip_network("127.0.0.1/32"),), user_agent="imageservice/1 (tests)"
)


@pytest.fixture(name="origin")
async def _origin() -> AsyncIterator[Origin]:
    async with origin() as server:
        yield server


@pytest.fixture
async def fetcher() -> AsyncIterator[Fetcher]:
    names = TableResolver({"a.example": ("127.0.0.1",), "b.example": ("127.0.0.1",)})
    fetcher = Fetcher(POLICY, resolver=names)
    yield fetcher
    await fetcher.close()


async def get(fetcher: Fetcher, url: str) -> FetchResult:
    with await fetcher.fetch(url) as fetched:
        return fetched


async def test_an_image_comes_with_its_provenance(fetcher: Fetcher, origin: Origin) -> None:
    """Body, ETag, Last-Modified and media type are those of the response."""
    headers = {
        "Content-Type": "image/PNG; x=y",
        "ETag": '"v1"',
        "Last-Modified": "Sun, 01 Mar 2026 12:00:00 GMT",
    }
    origin.routes["/p.png"] = reply_with(body=b"image", headers=headers)
    assert await get(fetcher, origin.url("/p.png")) == FetchResult(
        body=b"image",
        provenance=Provenance(
            final_url="",
            redirects=0,
            etag='"v1"',
            last_modified="Sun, 01 Mar 2026 12:00:00 GMT",
            declared_media_type="image/png",
        ),
    )


async def test_the_request_identifies_us_and_accepts_no_compression(
    fetcher: Fetcher, origin: Origin
) -> None:
    """User-Agent, Accept and Accept-Encoding are sent."""
    origin.routes["/p"] = reply_with(body=b"image")
    await get(fetcher, origin.url("/p"))
    ((_, headers),) = origin.requests
    assert headers["User-Agent"] == "imageservice/1 (tests)"
    assert headers["Accept"] == "image/*"
    assert headers["Accept-Encoding"] == "identity"
    assert "Cookie" not in headers
    assert "Authorization" not in headers


async def test_a_signed_url_is_sent_unchanged(fetcher: Fetcher, origin: Origin) -> None:
    """No escape is rewritten, because a signature covers it."""
    origin.routes["/a/b"] = reply_with(body=b"image")
    await get(fetcher, origin.url("/a%2fb?sig=%2b%2F+x&e=%7E~#part"))
    assert origin.requests[0][0] == "/a%2fb?sig=%2b%2F+x&e=%7E~"


async def test_an_empty_body_is_fetched(fetcher: Fetcher, origin: Origin) -> None:
    """The inspection, not the fetch, rejects it as no image."""
    origin.routes["/empty"] = reply_with(body=b"")
    assert (await get(fetcher, origin.url("/empty"))).body == b""


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_followed_and_recorded(
    fetcher: Fetcher, origin: Origin, status: int
) -> None:
    """Relative and absolute redirects are followed. The last URL and their number are recorded."""
    origin.routes["/1"] = redirect_to("2", status)
    origin.routes["/2"] = redirect_to(origin.url("/3"), status)
    origin.routes["/3"] = reply_with(body=b"image")
    fetched = await get(fetcher, origin.url("/1"))
    assert (fetched.body, fetched.provenance.redirects) == (b"image", 2)
    assert fetched.provenance.final_url == origin.url("/3")


async def test_a_cookie_is_sent_to_its_own_host_only(fetcher: Fetcher, origin: Origin) -> None:
    """It is sent back to the host that set it, and to no other. A Referer is never sent."""

    async def set_cookie(_: web.BaseRequest) -> web.StreamResponse:
        location = origin.url("/2", host="b.example")
        headers = {"Location": location, "Set-Cookie": "session=1; Path=/"}
        return web.Response(status=302, headers=headers)

    origin.routes["/1"] = set_cookie
    origin.routes["/2"] = redirect_to(origin.url("/3", host="a.example"))
    origin.routes["/3"] = reply_with(body=b"image")
    await get(fetcher, origin.url("/1", host="a.example"))
    assert [path for path, _ in origin.requests] == ["/1", "/2", "/3"]
    assert [headers.get("Cookie") for _, headers in origin.requests] == [None, None, "session=1"]
    assert not any("Referer" in headers for _, headers in origin.requests)


async def test_a_redirect_loop_ends(fetcher: Fetcher, origin: Origin) -> None:
    """Five redirects are followed, not six."""
    origin.routes["/loop"] = redirect_to("/loop")
    with pytest.raises(TooManyRedirects):
        await get(fetcher, origin.url("/loop"))
    assert len(origin.requests) == 1 + POLICY.max_redirects


@pytest.mark.parametrize(
    "location", ["ftp://a.example/", "http://2130706433/", "http://u:p@a.example/"]
)
async def test_a_redirect_to_a_bad_url_is_not_followed(
    fetcher: Fetcher, origin: Origin, location: str
) -> None:
    """The rules of SubmitImage apply to redirects too."""
    origin.routes["/away"] = redirect_to(location)
    with pytest.raises(BadRedirect):
        await get(fetcher, origin.url("/away"))


async def test_a_redirect_without_a_location_is_a_bad_redirect(
    fetcher: Fetcher, origin: Origin
) -> None:
    """A missing Location is BadRedirect."""
    origin.routes["/nowhere"] = reply_with(status=302)
    with pytest.raises(BadRedirect):
        await get(fetcher, origin.url("/nowhere"))


@pytest.mark.parametrize(
    ("status", "failure"),
    [(404, NotFound), (403, OriginRefused), (500, OriginError), (206, BadResponse)],
)
async def test_a_status_becomes_a_failure(
    fetcher: Fetcher, origin: Origin, status: int, failure: type[ImageFailure]
) -> None:
    """The failure decides on a retry. A Retry-After of these statuses means nothing."""
    origin.routes["/p"] = reply_with(status=status, body=b"image", headers={"Retry-After": "7"})
    with pytest.raises(ImageFailure) as raised:
        await get(fetcher, origin.url("/p"))
    assert (type(raised.value), raised.value.retry_after) == (failure, None)


@pytest.mark.parametrize(("status", "failure"), [(429, RateLimited), (503, OriginError)])
async def test_a_refusal_closes_the_host_and_is_no_attempt(
    fetcher: Fetcher, origin: Origin, status: int, failure: type[ImageFailure]
) -> None:
    """The host gets no request, of any URL, until its Retry-After is over."""
    origin.routes["/p"] = reply_with(status=status, body=b"image", headers={"Retry-After": "7"})
    with pytest.raises(HostBusy) as refused:
        await get(fetcher, origin.url("/p"))
    with pytest.raises(HostBusy) as waiting:
        await get(fetcher, origin.image_url(1))
    assert origin.hits == {"/p": 1}
    assert type(refused.value.failure) is type(waiting.value.failure) is failure
    assert (refused.value.refused, waiting.value.refused) == (True, False)
    assert min(refused.value.retry_after, waiting.value.retry_after) > 6
    assert refused.value.reason == waiting.value.reason == "host_refused"


async def test_a_refusal_with_a_short_wait_is_repeated_here(
    fetcher: Fetcher, origin: Origin
) -> None:
    """A second of waiting costs less than a message."""

    async def answer(_: web.Request) -> web.Response:
        first = origin.hits["/p"] == 1
        return web.Response(status=429 if first else 200, body=b"image")

    assert (await get(fetcher, origin.serve("/p", answer))).body == b"image"


async def test_a_url_that_submit_would_reject_is_never_fetched(fetcher: Fetcher) -> None:
    """A row that the server did not write must follow the rules too."""
    with pytest.raises(BlockedAddress):
        await get(fetcher, "http://0x7f.1/")


async def test_addresses_from_the_system_resolver_are_checked(origin: Origin) -> None:
    """localhost is blocked by default, and reached if it is allowed."""
    origin.routes["/p"] = reply_with(body=b"image")
    url = origin.url("/p", host="localhost")
    opened, closed = Fetcher(POLICY), Fetcher(FetchPolicy())
    try:
        assert (await get(opened, url)).body == b"image"
        with pytest.raises(DnsFailed):
            await get(closed, url)
    finally:
        await opened.close()
        await closed.close()


async def test_the_environments_proxy_is_ignored(
    origin: Origin, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy would connect in our place, without the guard."""
    origin.routes["/p"] = reply_with(body=b"image")
    with closed_port() as port:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
        assert (await get(fetcher, origin.url("/p", host="a.example"))).body == b"image"


@pytest.mark.parametrize(
    ("field", "opted_out"),
    [("noai", True), ("examplebot: noai", False), ("imageservice: noai", True), ("noindex", False)],
)
async def test_an_origin_may_opt_out(origin: Origin, field: str, opted_out: bool) -> None:
    """The body of an image that is not wanted is not read. Without the setting the header means nothing."""
    origin.routes["/p"] = reply_with(body=b"image", headers={"X-Robots-Tag": field})
    for respected, expected in ((("noai", "noimageai"), opted_out), ((), False)):
        fetcher = Fetcher(replace(POLICY, respected_opt_outs=respected))
        if expected:
            with pytest.raises(OptedOut):
                await get(fetcher, origin.url("/p"))
        else:
            assert (await get(fetcher, origin.url("/p"))).body == b"image"
        await fetcher.close()


async def test_an_origin_may_opt_out_of_the_reuse_of_an_image(origin: Origin) -> None:
    """It has not changed, and may not be used any more."""
    origin.routes["/p"] = reply_with(status=304, headers={"X-Robots-Tag": "noai"})
    url = origin.url("/p")
    for respected in ((), ("noai",)):
        fetcher = Fetcher(replace(POLICY, respected_opt_outs=respected))
        fetching = fetcher.fetch(url, "acme", Validator(url, '"1"', ""))
        if respected:
            with pytest.raises(OptedOut):
                await fetching
        else:
            assert not (await fetching).modified
        await fetcher.close()


async def test_a_status_304_without_a_condition_is_a_fault(origin: Origin) -> None:
    origin.routes["/p"] = reply_with(status=304)
    fetcher = Fetcher(POLICY)
    with pytest.raises(BadResponse):
        await get(fetcher, origin.url("/p"))
    await fetcher.close()


async def test_the_opt_out_of_a_redirect_is_about_the_redirect(origin: Origin) -> None:
    """Only the final answer serves the image."""
    origin.routes["/p"] = reply_with(
        status=302, headers={"Location": "/n/1", "X-Robots-Tag": "noai"}
    )
    fetcher = Fetcher(replace(POLICY, respected_opt_outs=("noai",)))
    assert (await get(fetcher, origin.url("/p"))).body
    await fetcher.close()


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("trail-.example", "trail-.example"),
        ("-lead.example", "-lead.example"),
        ("my_shop.m\u00fcnchen.example", "my_shop.xn--mnchen-3ya.example"),
        ("\U0001f4a9.example", "xn--ls8h.example"),
        ("I\u2764\ufe0f.example.", "xn--i-7iq.example"),
    ],
)
async def test_a_host_that_browsers_open_is_fetched(origin: Origin, host: str, name: str) -> None:
    """It is looked up, and named in the request, as A-labels."""
    origin.routes["/p"] = reply_with(body=b"image")
    fetcher = Fetcher(POLICY, resolver=AnyName())
    try:
        assert (await get(fetcher, origin.url("/p", host=host))).body == b"image"
    finally:
        await fetcher.close()
    ((_, headers),) = origin.requests
    assert headers["Host"] == f"{name}:{origin.port}"


class AnyName(TableResolver):
    """Every name leads to this machine. Fails for a name that DNS cannot have."""

    def __init__(self) -> None:
        super().__init__({})

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        host.encode("ascii")
        self._answers = {host: ("127.0.0.1",)}
        return await super().resolve(host, port, family)
