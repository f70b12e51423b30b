"""The `imageservice` command with real processes."""

import asyncio
import hashlib
import os
import re
import signal
import sys
import uuid
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from harness.aws import RecordingAws
from harness.command import UpCommand, imageservice, up
from harness.origin import origin
from harness.processes import python_path
from harness.worker_group import wait_exited

pytestmark = pytest.mark.asyncio(loop_scope="module")

IMAGE_PATH = "/pictures/astronaut.png"


@dataclass(frozen=True, slots=True)
class Local:
    """A system that `up` runs on the test run's AWS, and an origin."""

    up: UpCommand
    ready: dict[str, Any]
    origin: str

    @property
    def address(self) -> str:
        return str(self.ready["address"])


@pytest_asyncio.fixture(name="origin", scope="module", loop_scope="module")
async def _origin() -> AsyncIterator[str]:
    async with origin() as images:
        yield images.base


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def local(
    embedded_aws: RecordingAws, tmp_path_factory: pytest.TempPathFactory, origin: str
) -> AsyncIterator[Local]:
    """One system for the tests that do not end it. A start takes five seconds of CPU."""
    prefix = f"c{uuid.uuid4().hex[:10]}"
    options = ["--aws-endpoint", embedded_aws.endpoint, "--name-prefix", prefix]
    async with up(tmp_path_factory.mktemp("up"), *options, "--consumers", "2") as running:
        yield Local(running, await running.ready(), origin)


def pids_of(ready: dict[str, Any]) -> list[int]:
    """Return the pids of all processes that `up` has started."""
    grouped = [each if isinstance(each, list) else [each] for each in ready["pids"].values()]
    return [pid for group in grouped for pid in group]


async def read(url: str) -> bytes:
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        assert answer.status == 200
        return await answer.read()


async def test_outcomes_as_json(local: Local) -> None:
    """A good and a missing image are one object each. The published bytes have the recorded hash. Exit code 1."""
    good, missing = f"{local.origin}{IMAGE_PATH}", f"{local.origin}/behave/status/404"
    ran = await imageservice("submit", good, missing, "--watch", "--json", address=local.address)
    ends = {each["url"]: each for each in ran.objects}
    assert (ends[good]["state"], ends[missing]["state"]) == ("COMPLETED", "FAILED")
    assert ends[missing]["failure_code"] == "NOT_FOUND"
    body = await read(ends[good]["public_url"])
    assert hashlib.sha256(body).hexdigest() == ends[good]["metadata"]["sha256"]
    assert ran.code == 1


async def test_a_file_of_urls(local: Local) -> None:
    """URLs from standard input: one line for each, in a pipe without control codes. Exit code 0."""
    urls = [f"{local.origin}/generated/{number}.png" for number in range(40)]
    text = "# forty\n\n" + "\n".join(urls)
    ran = await imageservice("submit", "--file", "-", "--watch", address=local.address, stdin=text)
    lines = ran.out.splitlines()
    assert len(lines) == 40
    assert all(line.startswith("COMPLETED  ") for line in lines)
    assert "\x1b" not in ran.out
    assert (ran.code, ran.err) == (0, "")


async def test_a_rejected_url(local: Local) -> None:
    """A URL that the server rejects is reported with reason and field. Exit code 1."""
    ran = await imageservice("submit", "ftp://origin/a", "--json", address=local.address)
    [rejected] = ran.objects
    assert rejected["error"]["reason"] == "INVALID_REQUEST"
    assert [violation["field"] for violation in rejected["error"]["violations"]] == ["url"]
    assert ran.code == 1


async def test_a_request_from_submit_to_its_end(local: Local) -> None:
    """A request with a chosen id is watched and read. A repeated submit returns its result; another URL is rejected."""
    url, request_id = f"{local.origin}{IMAGE_PATH}", str(uuid.uuid4())
    chosen = ["--request-id", request_id]
    first = await imageservice("submit", url, *chosen, address=local.address)
    assert first.out.startswith(f"PENDING    {request_id}")
    watched = await imageservice("watch", request_id, address=local.address)
    assert watched.out.splitlines()[-1].startswith(f"COMPLETED  {request_id}  http")
    assert watched.code == 0
    status = await imageservice("status", request_id, address=local.address)
    public_url = watched.out.split()[-1]
    assert public_url in status.out
    again = await imageservice("submit", url, *chosen, "--json", address=local.address)
    assert [each["public_url"] for each in again.objects] == [public_url]
    other = await imageservice("submit", f"{url}?other", *chosen, address=local.address)
    assert "REQUEST_ID_REUSED" in other.out
    assert other.code == 1


async def test_a_watch_of_a_failed_request(local: Local) -> None:
    """A watched request that fails makes exit code 1."""
    url, request_id = f"{local.origin}/behave/status/410", str(uuid.uuid4())
    await imageservice("submit", url, "--request-id", request_id, address=local.address)
    ran = await imageservice("watch", request_id, "--json", address=local.address)
    assert ran.objects[-1]["failure_code"] == "NOT_FOUND"
    assert ran.code == 1


async def test_an_unknown_id(local: Local) -> None:
    """An id without a request is one line on stderr."""
    ran = await imageservice("status", str(uuid.uuid4()), address=local.address)
    assert ran.err.startswith("imageservice: REQUEST_NOT_FOUND: ")
    assert ran.err.count("\n") == 1
    assert (ran.code, ran.out) == (1, "")


async def test_an_operators_command_runs_the_consumer(local: Local) -> None:
    """The settings come from the environment or the ready file, and the exit status is the consumer's."""
    ran = await imageservice("reconcile", environment=local.ready["environment"])
    assert ran.code == 0, ran.err
    alias = await imageservice("redrive", "--ready-file", str(local.up.ready_file))
    assert alias.code == 0, alias.err
    broken = {**local.ready["environment"], "QUEUE_URL": "", "METRICS_PORT": "none"}
    assert (await imageservice("retry-failed", environment=broken)).code == 2


async def test_reindex_finds_the_system_by_its_ready_file(local: Local) -> None:
    """With the ready file, the command needs no settings. Without both, it names the missing settings."""
    url = f"{local.origin}{IMAGE_PATH}"
    submitted = await imageservice("submit", "--watch", url, address=local.address)
    assert submitted.code == 0, submitted.err
    ran = await imageservice("reindex", "--ready-file", str(local.up.ready_file))
    assert ran.code == 0, ran.err
    assert re.fullmatch(r"[1-9]\d* images indexed, 0 rejected\n", ran.out)
    assert len(local.ready["metrics"]) == 4
    assert local.ready["pids"].keys() == {"server", "consumer", "indexer"}
    unset = await imageservice("reindex")
    assert unset.code == 2
    assert "--ready-file" in unset.err
    for missing in ("REQUESTS_TABLE", "IMAGES_TABLE", "SEARCH_URL"):
        assert f"{missing}: " in unset.err


@pytest.mark.parametrize("role", ["server", "consumer"])
async def test_a_killed_process_is_restarted(local: Local, role: str) -> None:
    """The killed process is named, and the new one is in the ready file. Requests complete as before."""
    before = (await local.up.running())["pids"][role]
    os.kill(before if role == "server" else before[0], signal.SIGKILL)
    await local.up.wait_for_line("ended (killed by SIGKILL); starting it again")
    await local.up.wait_for_line("ready again")
    after = (await local.up.running())["pids"][role]
    assert after != before
    url = f"{local.origin}{IMAGE_PATH}"
    ran = await imageservice("submit", url, "--watch", address=local.address)
    assert ran.code == 0, ran.out + ran.err


async def test_no_child_outlives_up(tmp_path: Path) -> None:
    """If `up` itself is killed, the embedded AWS, the server and the consumers end."""
    async with up(tmp_path) as running:
        ready = await running.ready()
        running.process.kill()
        await running.wait_all_ended()
        # A process that ends closes its output before its port.
        await asyncio.gather(*(wait_exited(pid) for pid in pids_of(ready)))
        for url in (f"http://{ready['address']}", ready["aws_endpoint"], *ready["metrics"]):
            with pytest.raises(aiohttp.ClientConnectorError):
                await read(url)


async def test_a_killed_embedded_aws_is_replaced_and_sigterm_drains(
    tmp_path: Path, origin: str
) -> None:
    """`up` reports that the data is lost, and the system becomes ready again on another embedded AWS."""
    async with up(tmp_path) as running:
        before = await running.ready()
        os.kill(before["pids"]["aws"], signal.SIGKILL)
        await running.wait_for_line("and lost its data")
        after = await running.ready()
        assert after["pids"]["aws"] != before["pids"]["aws"]
        ran = await imageservice(
            "submit", f"{origin}{IMAGE_PATH}", "--watch", address=after["address"]
        )
        assert ran.code == 0, ran.out + ran.err
        await running.drain(signal.SIGTERM)


async def test_the_demo_ends_as_expected() -> None:
    """The demonstration exits with 0 and shows a row for each request, in a pipe as plain text."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cli.demo"), stdout=PIPE, stderr=STDOUT, env=python_path()
    )
    out = (await process.communicate())[0].decode()
    assert process.returncode == 0, out
    for row in (
        "astronaut.png",
        "NOT_FOUND",
        "BLOCKED_ADDRESS",
        "$ imageservice search --customer demo --similar-to",
        "every request ended as expected",
    ):
        assert row in out
    assert "\x1b" not in out
