"""Credentials of the operator: who sends them where, and that nothing else ever has them."""

import asyncio
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import pytest
from aiohttp import web

from harness.aws import RecordingAws
from harness.aws_proxy import Forward, ProxiedCall, aws_proxy
from harness.grpc_client import outcome_name
from harness.metrics import MetricsPort
from harness.origin import Handler, Origin, numbered_png, origin, redirect_to, reply_with
from harness.system import System, system
from harness.waiting import wait_for

TOKEN = "t0ken-of-the-operator"
PASSWORD = "pa55word-of-the-operator"
KEY = "k3y-of-the-operator"
SECRETS = (TOKEN, PASSWORD, KEY, "YTpwYTU1d29yZC1vZi10aGUtb3BlcmF0b3I=")
"""The last one is the Basic form of the password."""


@dataclass(slots=True)
class Recorder:
    """Keeps the bodies of all calls of a process to AWS: rows, messages, notifications and objects."""

    bodies: list[bytes] = field(default_factory=list)

    async def __call__(self, call: ProxiedCall, forward: Forward) -> web.Response:
        self.bodies.append(call.body)
        return await forward()


def entry(
    name: str, port: int, credentials: str, *, path: str = "/", customer: str = "acme"
) -> str:
    return (
        f'[[origins]]\nname = "{name}"\nhosts = ["127.0.0.1"]\nport = {port}\nallow_http = true\n'
        f'path_prefix = "{path}"\ncustomers = ["{customer}"]\n{credentials}\n'
    )


def entries(port: int) -> str:
    return "".join(
        (
            entry("token", port, f'bearer = "{TOKEN}"', path="/token"),
            entry(
                "basic", port, f'basic = {{ user = "a", password = "{PASSWORD}" }}', path="/basic"
            ),
            entry(
                "key",
                port,
                f'headers = {{ X-Api-Key = "{KEY}", user-agent = "acme importer" }}',
                path="/key",
            ),
        )
    )


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@pytest.fixture
def log() -> Iterator[IO[bytes]]:
    with tempfile.TemporaryFile() as file:
        yield file


async def write(file: Path, text: str) -> str:
    """Replace the file at once, as a volume of Kubernetes does."""
    new = file.with_suffix(".new")
    await asyncio.to_thread(new.write_text, text)
    await asyncio.to_thread(os.replace, new, file)
    return str(file)


def guarded(expected: dict[str, str]) -> Handler:
    """A handler that answers 401 without these headers."""

    async def answer(request: web.Request) -> web.Response:
        if all(request.headers.getall(name, []) == [value] for name, value in expected.items()):
            return web.Response(body=numbered_png(1), content_type="image/png")
        return web.Response(status=401, body=repr(request.headers).encode())

    return answer


def serve_private(images: Origin) -> None:
    images.serve("/token/a.png", guarded({"Authorization": f"Bearer {TOKEN}"}))
    images.serve("/basic/a.png", guarded({"Authorization": f"Basic {SECRETS[3]}"}))
    images.serve("/key/a.png", guarded({"X-Api-Key": KEY, "User-Agent": "acme importer"}))
    images.serve("/token/moved.png", redirect_to("/token/a.png?moved"))
    images.serve("/token/echo.png", echo)
    images.serve("/token/broken.png", reply_with(status=500, body=TOKEN.encode()))


async def echo(request: web.Request) -> web.Response:
    """Send the credentials back in every header that is recorded, first in a redirect."""
    secret = request.headers["Authorization"]
    if "secret" not in request.query:
        token = secret.rpartition(" ")[2]
        return web.Response(status=302, headers={"Location": f"{request.path}?secret={token}"})
    echoed = {"ETag": f'"{secret}"', "Last-Modified": secret, "Content-Type": f"image/{secret}"}
    return web.Response(body=numbered_png(2), headers=echoed)


async def test_nothing_but_the_origin_gets_a_credential(
    embedded_aws: RecordingAws, folder: Path, log: IO[bytes]
) -> None:
    """Successes, failures of each kind, redirects, and an origin that sends the credentials back."""
    recorder, port = Recorder(), MetricsPort()
    async with (
        origin() as images,
        origin() as stranger,
        aws_proxy(embedded_aws.endpoint) as proxy,
        system(embedded_aws) as running,
    ):
        proxy.hook = recorder
        serve_private(images)
        elsewhere = f"http://localhost:{stranger.port}/n/5"
        images.serve("/token/away.png", redirect_to(elsewhere))
        stranger.serve("/back.png", redirect_to(images.url("/token/a.png")))
        images.serve(
            "/token/away-and-back.png", redirect_to(f"http://localhost:{stranger.port}/back.png")
        )
        settings = {
            "CREDENTIALS_FILE": await write(folder / "origins.toml", entries(images.port)),
            "LOG_LEVEL": "debug",
            "LOG_FORMAT": "json",
            **port.settings,
        }
        await running.start_server()
        await running.start("consumer", settings, log=log, endpoint=proxy.endpoint)
        expected = {
            images.url("/token/a.png"): "COMPLETED",
            images.url("/basic/a.png"): "COMPLETED",
            images.url("/key/a.png"): "COMPLETED",
            images.url("/token/moved.png"): "COMPLETED",
            images.url("/token/echo.png"): "COMPLETED",
            images.url("/token/away.png"): "COMPLETED",
            images.url("/token/away-and-back.png"): "ORIGIN_REFUSED",
            images.url("/token/missing.png"): "NOT_FOUND",
            images.url("/token/broken.png"): "ORIGIN_ERROR",
            images.url("/public/a.png"): "NOT_FOUND",
            images.url("/token/a.png", host="localhost"): "ORIGIN_REFUSED",
        }
        ids = {await running.submit(url): url for url in expected}
        ended = await running.wait_terminal(ids)
        assert {url: outcome_name(ended[each]) for each, url in ids.items()} == expected
        page = (await port.scrape()).text
        await running.stop()
        log.seek(0)
        written = (await asyncio.to_thread(log.read)).decode()
        sent = b"\n".join(recorder.bodies).decode(errors="replace")
        answers = "\n".join(map(str, ended.values()))
        assert images.url("/token/echo.png") in sent
        for secret in SECRETS:
            for text in (page, written, sent, answers, str(stranger.requests)):
                assert secret not in text
        assert "acme importer" not in str(stranger.requests)


async def test_another_customer_has_no_credentials(
    embedded_aws: RecordingAws, folder: Path
) -> None:
    """Over the same connections, before and after a customer who has them."""
    async with origin() as images, system(embedded_aws) as running:
        serve_private(images)
        file = await write(folder / "origins.toml", entries(images.port))
        await running.start_server()
        await running.start_consumer(CREDENTIALS_FILE=file)
        for customer, outcome in (("acme", "COMPLETED"), ("globex", "ORIGIN_REFUSED")) * 3:
            request_id = await running.submit(images.url("/token/a.png"), customer=customer)
            ended = await running.wait_terminal([request_id])
            assert outcome_name(ended[request_id]) == outcome


async def test_a_private_network_needs_its_own_permission(
    embedded_aws: RecordingAws, folder: Path
) -> None:
    """Credentials open no address: no request reaches the origin."""
    async with origin() as images, system(embedded_aws) as running:
        serve_private(images)
        file = await write(folder / "origins.toml", entries(images.port))
        await running.start_server()
        await running.start_consumer(CREDENTIALS_FILE=file, ALLOWED_NETWORKS="")
        request_id = await running.submit(images.url("/token/a.png"))
        ended = await running.wait_terminal([request_id])
        assert outcome_name(ended[request_id]) == "BLOCKED_ADDRESS"
        assert not images.requests


async def test_a_changed_file_takes_effect_without_a_restart(
    embedded_aws: RecordingAws, folder: Path
) -> None:
    """A faulty version in between changes nothing, and a metric shows it."""
    port = MetricsPort()
    async with origin() as images, system(embedded_aws) as running:
        serve_private(images)
        file = folder / "origins.toml"
        await write(file, entry("token", images.port, 'bearer = "old"'))
        await running.start_server()
        await running.start_consumer(CREDENTIALS_FILE=str(file), **port.settings)
        assert await outcome(running, images) == "ORIGIN_REFUSED"
        await write(file, "no TOML")
        await port.until(lambda page: page.value("consumer_faulty_credentials_file") == 1)
        assert await outcome(running, images) == "ORIGIN_REFUSED"
        await write(file, entries(images.port))

        async def accepted() -> bool:
            return await outcome(running, images) == "COMPLETED"

        await wait_for(accepted, "the new token was never sent")
        assert (await port.scrape()).value("consumer_faulty_credentials_file") == 0


async def outcome(running: System, images: Origin) -> str:
    request_id = await running.submit(images.url("/token/a.png"))
    return outcome_name((await running.wait_terminal([request_id]))[request_id])


async def test_a_faulty_file_stops_the_start(
    embedded_aws: RecordingAws, folder: Path, log: IO[bytes]
) -> None:
    """With every fault, and without a value of the file."""
    text = entry("token", 0, f'bearer = "{TOKEN}\\n"') + f'[[buckets]]\nbucket = "{KEY}_"\n'
    async with system(embedded_aws) as running:
        settings = {"CREDENTIALS_FILE": await write(folder / "origins.toml", text)}
        process = await running.start("consumer", settings, log=log, forked=False)
        assert await process.wait() == 2
        running.processes.remove(process)
    log.seek(0)
    written = (await asyncio.to_thread(log.read)).decode()
    lines = [line for line in written.splitlines() if line.startswith("CREDENTIALS_FILE: ")]
    assert {line.split(": ")[1] for line in lines} == {
        *("origins.0.bearer", "origins.0.port", "buckets.0.bucket"),
        *("buckets.0.prefixes", "buckets.0.customers"),
    }
    assert all(secret not in written for secret in SECRETS)
