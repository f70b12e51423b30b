"""One running system for the tests that only submit requests and read results."""

from collections.abc import AsyncIterator

import pytest_asyncio

from harness.aws import RecordingAws
from harness.metrics import MetricsPort
from harness.system import System, system


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def running(embedded_aws: RecordingAws) -> AsyncIterator[System]:
    """A server and a consumer that accepts bodies of up to 2 MB."""
    async with system(embedded_aws) as started:
        await started.start_server()
        port = MetricsPort()
        await started.start_consumer(MAX_BODY_BYTES="2000000", **port.settings)
        # A consumer that is still starting has no handler for SIGTERM.
        await port.until_served()
        yield started
