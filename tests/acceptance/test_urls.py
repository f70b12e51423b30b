"""URLs as people write them, through the whole system: what browsers open is fetched, and told as it was sent."""

import asyncio

import grpc
import pytest

from harness.images import sample
from harness.raw_origin import answer, raw_origin
from harness.system import System
from imageservice.v1 import image_service_pb2 as pb

JPEG = sample("rocket-progressive.jpg")
TARGETS = {
    "/dots/../img.jpg": "/img.jpg",
    "/./a": "/a",
    "/a/../../b": "/b",
    "/x/%2e%2E/a%2fb": "/a%2fb",
    "/a/..": "/",
    "?x=/../y": "/?x=/../y",
    "/two words.jpg?a b": "/two%20words.jpg?a%20b",
    "/Shot at 9.41\u202fAM.jpg": "/Shot%20at%209.41%E2%80%AFAM.jpg",
    "/\u00a0\u3000\u2028": "/%C2%A0%E3%80%80%E2%80%A8",
    "/caf\u00e9.jpg?\u00fc#\u00e4": "/caf%C3%A9.jpg?%C3%BC",
    "/\u202egpj.\U0001f600": "/%E2%80%AEgpj.%F0%9F%98%80",
    "/100%.jpg?sig=%2B%c3%A9+/=": "/100%.jpg?sig=%2B%c3%A9+/=",
    "/<a>|b^{c}`": "/%3Ca%3E%7Cb%5E%7Bc%7D%60",
    "/?path=C:\\a": "/?path=C:%5Ca",
    "/presigned?X-Amz-Security-Token=" + "t" * 2_600: "/presigned?X-Amz-Security-Token="
    + "t" * 2_600,
    "/end \n": "/end",
}


async def test_the_origin_gets_what_browsers_request(running: System) -> None:
    """Path and query are escaped and normalized; the state has the URL as it was sent, and so has a repeat."""
    asked: list[str] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readuntil(b"\r\n\r\n")).split(b" ")[1].decode("ascii"))
        writer.write(answer(JPEG, b"Connection: close"))
        await writer.drain()

    async with raw_origin(script) as images:
        urls = [f" http://127.0.0.1:{images.port}{text}" for text in TARGETS]
        ids = [await running.submit(url) for url in urls]
        states = await running.wait_terminal(ids)
        for request_id, url in zip(ids, urls, strict=True):
            assert await running.submit(url, request_id=request_id) == request_id
    assert [states[each].url for each in ids] == urls
    assert {states[each].state for each in ids} == {pb.STATE_COMPLETED}
    assert sorted(asked) == sorted(TARGETS.values())


async def test_a_host_that_browsers_open_is_accepted(running: System) -> None:
    """Nothing answers at these names, so the requests fail, but not at submit."""
    hosts = [
        "trail-.invalid",
        "-lead.invalid",
        "my_shop.m\u00fcnchen.invalid",
        "\U0001f4a9.invalid",
    ]
    hosts += [
        "my_m\u00fcnchen.invalid",
        "i\u2764\ufe0f.invalid",
        "r3---sn.invalid",
        "xn--i-7iq.invalid",
    ]
    ids = [await running.submit(f"http://{host}/a.jpg") for host in hosts]
    states = await running.wait_terminal(ids)
    assert {state.state for state in states.values()} == {pb.STATE_FAILED}


@pytest.mark.parametrize(
    "url",
    [
        "http://e.example/a\tb",
        "http://e.example/a\nb",
        "http://e.example/\x01",
        "http://e.example\\@127.0.0.1/",
        "http://e.example/a\\b",
        "\u00a0http://e.example/",
        "http://e .example/",
        "http:/e.example/",
        "http://e.example/".ljust(8_191, "a"),
        "  ",
    ],
    ids=lambda url: ascii(url)[:40],
)
async def test_a_url_with_two_readings_is_rejected(running: System, url: str) -> None:
    """The violation names the field."""
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await running.submit(url)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "url" in (refused.value.details() or "")
