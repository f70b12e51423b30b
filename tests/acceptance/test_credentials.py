"""Credentials of the worker, which are in its environment and memory."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE

import pytest

from harness.aws import RecordingAws
from harness.metrics import MetricsPort
from harness.system import system

PROGRAM = "harness.unprivileged"
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


async def read_environment(pid: int) -> str:
    """Let another process of the same user, without capabilities, read the environment of a process."""
    command = (sys.executable, "-m", PROGRAM, "harness.read_environment", str(pid))
    reader = await asyncio.create_subprocess_exec(*command, env=ENVIRONMENT, stdout=PIPE)
    return (await reader.communicate())[0].decode()


@pytest.mark.skipif(sys.platform != "linux", reason="macOS shows no environment to other processes")
async def test_processes_of_its_user_cannot_read_them(embedded_aws: RecordingAws) -> None:
    ports = {"server": MetricsPort(), "consumer": MetricsPort()}
    async with system(embedded_aws, forked=False) as running:
        pids = {}
        for name, port in ports.items():
            settings = {**port.settings, "PYTHONPATH": ENVIRONMENT["PYTHONPATH"]}
            process = await running.start(PROGRAM, settings, (name,), role=name)
            pids[name] = process.pid
        await ports["consumer"].until(lambda page: bool(page.value("consumer_concurrency")))
        await ports["server"].until_served()
        assert "AWS_SECRET_ACCESS_KEY" in await read_environment(pids["server"])
        assert await read_environment(pids["consumer"]) == "PermissionError"
