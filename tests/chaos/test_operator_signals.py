"""An operator's command that is told to end, as a Job is when its pod is evicted."""

import asyncio
import signal

from aiohttp import web

from harness.aws import RecordingAws
from harness.aws_proxy import Forward, ProxiedCall, aws_proxy
from harness.system import system


async def test_reconcile_ends_at_once_by_a_handler_of_its_own(embedded_aws: RecordingAws) -> None:
    """By exit status, not by the signal: as the first process of a container it would ignore that."""
    scanning, over = asyncio.Event(), asyncio.Event()

    async def hold(call: ProxiedCall, forward: Forward) -> web.Response:
        if call.operation == "Scan":
            scanning.set()
            await over.wait()
        return await forward()

    async with (
        aws_proxy(embedded_aws.endpoint) as proxy,
        system(embedded_aws, endpoint=proxy.endpoint) as running,
    ):
        proxy.hook = hold
        process = await running.start_operator("reconcile")
        await scanning.wait()
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(30):
            assert await process.wait() == 128 + signal.SIGTERM
        over.set()
