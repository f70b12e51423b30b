"""A long list of URLs is submitted while the server is replaced."""

import asyncio
import json
import os
import signal
import sys
import uuid
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import Any

from harness.aws import RecordingAws
from harness.command import up
from harness.origin import origin
from harness.processes import python_path

THIRD = 50
COUNT = 3 * THIRD


async def start_submit(address: str) -> Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cli.main", "submit", "--file", "-", "--watch", "--json"),
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        env={**python_path(), "IMAGESERVICE_ADDRESS": address},
    )


async def results(process: Process, count: int) -> list[dict[str, Any]]:
    assert process.stdout is not None
    return [json.loads(await process.stdout.readline()) for _ in range(count)]


async def test_a_server_that_is_replaced_twice_loses_nothing(
    embedded_aws: RecordingAws, tmp_path: Path
) -> None:
    """One server drains, the next one is killed. Each URL ends once, with its own id, and the exit code is 0."""
    options = [
        "--aws-endpoint",
        embedded_aws.endpoint,
        "--name-prefix",
        f"b{uuid.uuid4().hex[:10]}",
    ]
    async with origin() as images, up(tmp_path, *options, DRAIN_DELAY_S="0") as running:
        urls = [f"{images.base}/generated/{each}.png" for each in range(COUNT)]
        ready = await running.ready()
        process = await start_submit(ready["address"])
        assert process.stdin is not None
        assert process.stderr is not None
        ends: list[dict[str, Any]] = []
        for first, number in ((0, signal.SIGTERM), (THIRD, signal.SIGKILL)):
            lines = "".join(f"{url}\n" for url in urls[first : first + THIRD])
            process.stdin.write(lines.encode())
            ends += await results(process, 10)
            os.kill((await running.running())["pids"]["server"], number)
            await running.wait_for_line("starting it again")
            await running.wait_for_line("ready again")
        process.stdin.write("".join(f"{url}\n" for url in urls[2 * THIRD :]).encode())
        process.stdin.close()
        ends += await results(process, COUNT - len(ends))
        assert await process.wait() == 0, (await process.stderr.read()).decode()
    assert sorted(end["url"] for end in ends) == sorted(urls)
    assert {end["state"] for end in ends} == {"COMPLETED"}
    assert len({end["request_id"] for end in ends}) == COUNT
