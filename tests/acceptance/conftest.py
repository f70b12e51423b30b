"""One running system for the tests that only submit and look."""

from collections.abc import AsyncIterator

import pytest_asyncio

from harness.aws import RecordingAws
from harness.system import System, system


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def running(embedded_aws: RecordingAws) -> AsyncIterator[System]:
    """A server and a consumer that takes no large bodies."""
    async with system(embedded_aws) as started:
        await started.start_server()
        await started.start_consumer(MAX_BODY_BYTES="2000000")
        yield started
