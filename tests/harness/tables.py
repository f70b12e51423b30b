"""Opens AWS clients and tables in the process of the test."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from unittest.mock import patch

from cli.local.stack import StackOutputs
from core.aws.client import Aws, open_aws
from core.dynamodb.statements import Statements
from core.dynamodb.tables import Tables


@asynccontextmanager
async def aws_with(environment: Mapping[str, str]) -> AsyncIterator[Aws]:
    """Open the clients of a process with these environment variables."""
    with patch.dict("os.environ", environment):
        async with open_aws() as aws:
            yield aws


@asynccontextmanager
async def tables_of(
    environment: Mapping[str, str], stack: StackOutputs, *, retention_s: int = 0
) -> AsyncIterator[Tables]:
    statements = Statements(stack.requests_table, stack.images_table, retention_s=retention_s)
    async with aws_with(environment) as aws:
        yield Tables(aws.http.dynamodb, statements)
