"""The suite's AWS: the embedded one with a recorder, stacks of one's own, and real backends if they are asked for."""

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
# They ask for queues on either side: the template's, and the one that SNS fills inside the embedded AWS.
_OF_ALL_QUEUES = frozenset({"indexer", "exporter"})


class DeployStack(Protocol):
    """Deploys the template under a prefix of one's own; parameters are the template's."""

    async def __call__(self, prefix: str, **parameters: str) -> StackOutputs: ...


@dataclass(frozen=True, slots=True)
class RecordingAws:
    """An embedded AWS that writes down what the roles ask for.

    With real backends its endpoint still is all of AWS, and what passes there is written down; processes that
    are given `environment` call tables and queues directly.
    """

    aws: EmbeddedAws
    record: Path
    real: RealBackends | None = None

    @property
    def endpoint(self) -> str:
        return self.aws.endpoint

    def environment(self, role: str, endpoint: str | None = None) -> dict[str, str]:
        """Return the SDK's variables for a process in `role`: one of the template's, or `tests`.

        `endpoint` is a proxy that all calls shall pass, if there is one.
        """
        if endpoint not in {None, self.endpoint}:
            return client_environment(str(endpoint), role)
        direct = {} if self.real is None else self.real.endpoints()
        if role in _OF_ALL_QUEUES:
            direct.pop("AWS_ENDPOINT_URL_SQS", None)
        return {**client_environment(self.endpoint, role), **direct}

    def sdk(self, role: str = "tests") -> dict[str, Any]:
        """Return the arguments for `create_client`; `tests` is the suite's own hand, allowed all."""
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
        """Ask for each table and queue, which makes them on the real backends; the queues' URLs are theirs."""
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
