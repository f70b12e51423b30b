"""The AWS of a test run: the embedded one with a recorder, stacks for tests, and optional real backends."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from aiobotocore.session import get_session

from backends.real_backends import RealBackends
from cli.local.embedded_aws import REGION, client_environment
from cli.local.stack import StackOutputs, deploy
from harness.calls import Call
from harness.embedded_aws import EmbeddedAws, embedded_aws

ROOT = Path(__file__).parents[2]
# These roles call queues of the template, and the queue that SNS fills inside the embedded AWS.
_OF_ALL_QUEUES = frozenset({"indexer", "exporter"})


class DeployStack(Protocol):
    """Deploys the template with a prefix. `parameters` are those of the template."""

    async def __call__(self, prefix: str, **parameters: str) -> StackOutputs: ...


@dataclass(frozen=True, slots=True)
class RecordingAws:
    """An embedded AWS that records the calls of the roles.

    With real backends, its endpoint still serves all of AWS and records the calls there. Processes with `environment`
    call tables and queues directly.
    """

    aws: EmbeddedAws
    record: Path
    real: RealBackends | None = None

    @property
    def endpoint(self) -> str:
        return self.aws.endpoint

    def environment(self, role: str, endpoint: str | None = None) -> dict[str, str]:
        """Return the SDK's variables for a process in `role`: one of the template's, or `tests`.

        `endpoint` is a proxy that all calls pass, if there is one.
        """
        if endpoint not in {None, self.endpoint}:
            return client_environment(str(endpoint), role)
        direct = {} if self.real is None else self.real.endpoints()
        if role in _OF_ALL_QUEUES:
            direct.pop("AWS_ENDPOINT_URL_SQS", None)
        return {**client_environment(self.endpoint, role), **direct}

    def sdk(self, role: str = "tests") -> dict[str, Any]:
        """Return the arguments for `create_client`. The role `tests` may do everything."""
        return {
            "endpoint_url": self.endpoint,
            "region_name": REGION,
            "aws_access_key_id": role,
            "aws_secret_access_key": "embedded",
        }

    async def deploy(self, prefix: str, **parameters: str) -> StackOutputs:
        outputs = await deploy(self.endpoint, name_prefix=prefix, parameters=parameters)
        return outputs if self.real is None else await self._mirrored(outputs)

    async def recorded(self) -> list[Call]:
        text = await asyncio.to_thread(self.record.read_text, encoding="utf-8")
        return [Call(*json.loads(line)) for line in text.splitlines()]

    async def _mirrored(self, outputs: StackOutputs) -> StackOutputs:
        """Request each table and queue, which creates it on the real backends. Return outputs with their URLs."""
        async with get_session().create_client("dynamodb", **self.sdk()) as dynamodb:
            for table in (outputs.requests_table, outputs.images_table):
                await dynamodb.describe_table(TableName=table)
        async with get_session().create_client("sqs", **self.sdk()) as sqs:

            async def real_url(embedded: str) -> str:
                answer = await sqs.get_queue_url(QueueName=embedded.rpartition("/")[2])
                return answer["QueueUrl"]

            return replace(
                outputs,
                queue_url=await real_url(outputs.queue_url),
                bulk_queue_url=await real_url(outputs.bulk_queue_url),
                failed_requests_queue_url=await real_url(outputs.failed_requests_queue_url),
                dlq_url=await real_url(outputs.dlq_url),
            )


@asynccontextmanager
async def recording_aws(record: Path, *, jars: Path | None = None) -> AsyncIterator[RecordingAws]:
    """Run an AWS that writes the calls of all roles to `record`. `jars` holds the real backends; None is without."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")])
    async with AsyncExitStack() as stack:
        real = None if jars is None else await RealBackends.start(jars, record.parent)
        if real is not None:
            stack.push_async_callback(real.stop)
        environment = {"RECORD_CALLS_TO": str(record), "PYTHONPATH": path}
        environment |= {} if real is None else real.endpoints()
        embedded = embedded_aws(module="harness.recording_aws", extra_environment=environment)
        yield RecordingAws(await stack.enter_async_context(embedded), record, real)
