"""An operator's command that is told to end, as a Job is when its pod is evicted."""

import asyncio
import signal

import pytest
from aiohttp import web

from harness.aws import RecordingAws
from harness.aws_proxy import Forward, ProxiedCall, aws_proxy
from harness.system import system


@pytest.mark.parametrize(
    ("command", "operation"), [("reconcile", "Scan"), ("redrive", "ReceiveMessage")]
)
async def test_a_command_ends_by_a_handler_of_its_own_without_waiting_for_aws(
    embedded_aws: RecordingAws, command: str, operation: str
) -> None:
    """By exit status, not by the signal: as the first process of a container it would ignore that."""
    asked, over = asyncio.Event(), asyncio.Event()

    async def hold(call: ProxiedCall, forward: Forward) -> web.Response:
        if call.operation == operation:
            asked.set()
            await over.wait()
        return await forward()

    async with (
        aws_proxy(embedded_aws.endpoint) as proxy,
        system(embedded_aws, endpoint=proxy.endpoint) as running,
    ):
        proxy.hook = hold
        process = await running.start_operator(command)
        await asked.wait()
        process.send_signal(signal.SIGTERM)
        # Below the 15 s that a call may take.
        async with asyncio.timeout(12):
            assert await process.wait() == 128 + signal.SIGTERM
        over.set()
