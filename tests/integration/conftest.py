"""What integration tests of the server and of the tables may ask for."""

import uuid
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from aiobotocore.session import get_session
from types_aiobotocore_sqs import SQSClient

from cli.local.stack import StackOutputs
from core.aws.client import Aws, open_aws
from core.dynamodb.tables import Tables
from harness.aws import DeployStack, RecordingAws
from harness.fake_aws import FakeAws, aws_of, served
from harness.running_server import ServerFactory
from harness.tables import tables_of


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def server_stack(deploy_stack: DeployStack) -> StackOutputs:
    """One stack for all tests that choose their own ids and leave the queue alone."""
    return await deploy_stack("server-tests")


@pytest_asyncio.fixture
async def own_stack(deploy_stack: DeployStack) -> StackOutputs:
    """A stack of the test's own, whose queue nobody else uses."""
    return await deploy_stack(f"own-{uuid.uuid4().hex[:12]}")


@pytest.fixture
def customer() -> str:
    """A customer whose requests are the test's own."""
    return f"customer-{uuid.uuid4()}"


@pytest_asyncio.fixture
async def servers(
    embedded_aws: RecordingAws, server_stack: StackOutputs, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[ServerFactory]:
    """Starts servers on the shared stack, which call AWS in the server's role."""
    for name, value in embedded_aws.environment("server").items():
        monkeypatch.setenv(name, value)
    async with open_aws() as aws:
        yield ServerFactory(aws, server_stack)


@pytest_asyncio.fixture
async def tables(embedded_aws: RecordingAws, server_stack: StackOutputs) -> AsyncIterator[Tables]:
    """The shared stack's tables in the suite's own hand, which may do what a consumer does."""
    async with tables_of(embedded_aws.environment("tests"), server_stack) as opened:
        yield opened


@pytest_asyncio.fixture
async def sqs(embedded_aws: RecordingAws) -> AsyncIterator[SQSClient]:
    """The suite's own hand in the queues."""
    async with get_session().create_client("sqs", **embedded_aws.sdk()) as client:
        yield client


@pytest_asyncio.fixture
async def fake_aws() -> AsyncIterator[FakeAws]:
    message_status = FakeAws()
    async with served(message_status):
        yield message_status


@pytest_asyncio.fixture
async def scripted_aws(fake_aws: FakeAws) -> AsyncIterator[Aws]:
    """Both ways to AWS, the SDK's and ours, to a service that answers by script."""
    async with aws_of(fake_aws) as aws:
        yield aws
