"""Fixtures of the integration tests of server and tables."""

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
from harness.fake_aws import FakeAws, aws_of, run_fake_aws
from harness.running_server import ServerFactory
from harness.tables import tables_of


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def server_stack(deploy_stack: DeployStack) -> StackOutputs:
    """One stack, shared by all tests that choose their own ids and do not use the queue."""
    return await deploy_stack("server-tests")


@pytest_asyncio.fixture
async def own_stack(deploy_stack: DeployStack) -> StackOutputs:
    """A stack for one test, whose queue no other test uses."""
    return await deploy_stack(f"own-{uuid.uuid4().hex[:12]}")


@pytest.fixture
def customer() -> str:
    """A customer that no other test uses."""
    return f"customer-{uuid.uuid4()}"


@pytest_asyncio.fixture
async def servers(
    embedded_aws: RecordingAws, server_stack: StackOutputs, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[ServerFactory]:
    """Starts servers on the shared stack. They call AWS in the role of the server."""
    for name, value in embedded_aws.environment("server").items():
        monkeypatch.setenv(name, value)
    async with open_aws() as aws:
        yield ServerFactory(aws, server_stack)


@pytest_asyncio.fixture
async def tables(embedded_aws: RecordingAws, server_stack: StackOutputs) -> AsyncIterator[Tables]:
    """The tables of the shared stack, in the suite's role, which may write as a consumer does."""
    async with tables_of(embedded_aws.environment("tests"), server_stack) as opened:
        yield opened


@pytest_asyncio.fixture
async def sqs(embedded_aws: RecordingAws) -> AsyncIterator[SQSClient]:
    """An SQS client in the suite's role, which may use every queue."""
    async with get_session().create_client("sqs", **embedded_aws.sdk()) as client:
        yield client


@pytest_asyncio.fixture
async def fake_aws() -> AsyncIterator[FakeAws]:
    aws = FakeAws()
    async with run_fake_aws(aws):
        yield aws


@pytest_asyncio.fixture
async def scripted_aws(fake_aws: FakeAws) -> AsyncIterator[Aws]:
    """The SDK's clients and our AWS HTTP clients, connected to a service with scripted answers."""
    async with aws_of(fake_aws) as aws:
        yield aws
