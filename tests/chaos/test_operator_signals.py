"""A signal to an operator's command, as a Job gets it when its pod is evicted."""

import asyncio
import signal

import pytest
from aiohttp import web

from harness.aws import RecordingAws
from harness.aws_proxy import Forward, ProxiedCall, aws_proxy
from harness.system import system


@pytest.mark.parametrize(
    ("command", "operation"), [("reconcile", "Scan"), ("retry-failed", "ReceiveMessage")]
)
async def test_a_command_handles_the_signal_without_waiting_for_aws(
    embedded_aws: RecordingAws, command: str, operation: str
) -> None:
    """It exits by itself: PID 1 of a container ignores a signal that it does not handle."""
    called, over = asyncio.Event(), asyncio.Event()

    async def hold(call: ProxiedCall, forward: Forward) -> web.Response:
        if call.operation == operation:
            called.set()
            await over.wait()
        return await forward()

    async with (
        aws_proxy(embedded_aws.endpoint) as proxy,
        system(embedded_aws, endpoint=proxy.endpoint) as running,
    ):
        proxy.hook = hold
        process = await running.start_operator(command)
        await called.wait()
        process.send_signal(signal.SIGTERM)
        # The call is held until after that.
        assert await process.wait() == 128 + signal.SIGTERM
        over.set()
