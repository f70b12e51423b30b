"""Deploy core/stack.yaml with a change set, as `aws cloudformation deploy` does."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import MISSING, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self, cast

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.exceptions import ClientError, WaiterError

from cli.local.embedded_aws import REGION

if TYPE_CHECKING:
    from types_aiobotocore_cloudformation import CloudFormationClient
    from types_aiobotocore_cloudformation.type_defs import (
        OutputTypeDef,
        StackEventTypeDef,
        WaiterConfigTypeDef,
    )

TEMPLATE = Path(__file__).parents[2] / "core" / "stack.yaml"
# A CloudFront distribution takes minutes on AWS and no time on the emulator.
AWS_POLL_INTERVAL_S = 5.0
EMBEDDED_POLL_INTERVAL_S = 0.05
STACK_TIMEOUT_S = 1_800.0
# `aws cloudformation deploy` detects an empty change set by the same texts.
NO_CHANGES = ("The submitted information didn't contain changes.", "No updates are to be performed")

# Outputs of a stack that the previous release deployed. Remove them together with the template's deprecated outputs.
_FORMER_OUTPUTS = {
    "FailedRequestsQueueUrl": "DeadLetterQueueUrl",
    "DlqUrl": "UndeliveredQueueUrl",
    "SearchDlqUrl": "SearchDeadLetterQueueUrl",
}


class StackFailed(Exception):
    """CloudFormation refused the template, or a resource failed. `str()` has the resource and the reason."""


@dataclass(frozen=True, slots=True)
class StackOutputs:
    """The template's outputs: `requests_table` is the output RequestsTable, and so on."""

    requests_table: str
    images_table: str
    queue_url: str
    failed_requests_queue_url: str
    dlq_url: str
    bucket: str
    topic_arn: str
    public_base_url: str
    distribution_id: str
    server_role_arn: str
    consumer_role_arn: str
    operator_role_arn: str
    exporter_role_arn: str
    scaler_role_arn: str
    customer_tag_key_arn: str
    bulk_queue_url: str = ""
    """Empty if an earlier release deployed the stack. Then there is one lane."""
    search_queue_url: str = ""
    """Empty if the stack was deployed with Search=off, like the next two."""
    search_dlq_url: str = ""
    indexer_role_arn: str = ""
    search_url: str = ""
    """Empty unless the stack was deployed with Search=domain."""

    @classmethod
    def parse(cls, outputs: "Sequence[OutputTypeDef]") -> Self:
        """Raises KeyError if an output is missing."""
        values = {output["OutputKey"]: output["OutputValue"] for output in outputs}
        for name, former in _FORMER_OUTPUTS.items():
            if name not in values and former in values:
                values[name] = values[former]
        found: dict[str, str] = {}
        for field in fields(cls):
            key = field.name.title().replace("_", "")
            found[field.name] = values[key] if field.default is MISSING else values.get(key, "")
        return cls(**found)

    def environment(self) -> dict[str, str]:
        return {
            "REQUESTS_TABLE": self.requests_table,
            "IMAGES_TABLE": self.images_table,
            "QUEUE_URL": self.queue_url,
            "BULK_QUEUE_URL": self.bulk_queue_url,
            "FAILED_REQUESTS_QUEUE_URL": self.failed_requests_queue_url,
            "DLQ_URL": self.dlq_url,
            "BUCKET": self.bucket,
            "TOPIC_ARN": self.topic_arn,
            "PUBLIC_BASE_URL": self.public_base_url,
            "SEARCH_QUEUE_URL": self.search_queue_url,
            "SEARCH_DLQ_URL": self.search_dlq_url,
            "SEARCH_URL": self.search_url,
            # The stack's OpenSearch domain accepts only signed requests of its roles.
            "SEARCH_SIGNED": "true" if self.search_url else "false",
        }


async def deploy(
    endpoint: str | None,
    *,
    name_prefix: str = "imageservice",
    parameters: Mapping[str, str] | None = None,
    template: Path = TEMPLATE,
) -> StackOutputs:
    """Create or update the stack named `name_prefix`. Raises StackFailed.

    `endpoint` is the embedded AWS; None is AWS itself, configured by the SDK's variables. The embedded AWS has no CDN;
    public objects are read from its bucket, which allows anonymous reads.
    """
    body = await asyncio.to_thread(template.read_text, encoding="utf-8")
    values = {"NamePrefix": name_prefix, **(parameters or {})}
    async with _client(endpoint) as client:
        poll = AWS_POLL_INTERVAL_S if endpoint is None else EMBEDDED_POLL_INTERVAL_S
        outputs = await _Deployment(client, name_prefix, poll).run(body, values)
    if endpoint is None:
        return outputs
    return replace(outputs, public_base_url=f"{endpoint}/{outputs.bucket}/")


@asynccontextmanager
async def _client(endpoint: str | None) -> "AsyncIterator[CloudFormationClient]":
    session = get_session()
    if endpoint is None:
        async with session.create_client("cloudformation") as client:
            yield client
        return
    async with session.create_client(
        "cloudformation",
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id="deployer",
        aws_secret_access_key="embedded",  # noqa: S106  the emulator asks for none
        # An empty mapping makes the SDK ignore proxy variables, which would lead off the machine.
        config=AioConfig(proxies={}),
    ) as client:
        yield client


@dataclass(frozen=True, slots=True)
class _Deployment:
    client: "CloudFormationClient"
    stack: str
    poll_interval_s: float

    async def run(self, body: str, parameters: Mapping[str, str]) -> StackOutputs:
        kind: Literal["CREATE", "UPDATE"] = "UPDATE" if await self._exists() else "CREATE"
        change_set = await self._create_change_set(kind, body, parameters)
        if await self._has_changes(change_set):
            await self.client.execute_change_set(ChangeSetName=change_set)
            await self._wait_for_stack(kind)
        described = await self.client.describe_stacks(StackName=self.stack)
        return StackOutputs.parse(described["Stacks"][0]["Outputs"])

    async def _create_change_set(
        self, kind: Literal["CREATE", "UPDATE"], body: str, parameters: Mapping[str, str]
    ) -> str:
        try:
            created = await self.client.create_change_set(
                StackName=self.stack,
                ChangeSetName=f"deploy-{time.time_ns()}",
                ChangeSetType=kind,
                TemplateBody=body,
                Parameters=[
                    {"ParameterKey": key, "ParameterValue": value}
                    for key, value in parameters.items()
                ],
                Capabilities=["CAPABILITY_IAM"],
            )
        except ClientError as error:
            raise StackFailed(f"stack {self.stack}: {error}") from error
        return created["Id"]

    async def _exists(self) -> bool:
        """Return True if the stack exists. A stack in review counts as missing, as in the AWS CLI."""
        try:
            described = await self.client.describe_stacks(StackName=self.stack)
        except ClientError as error:
            if "does not exist" in str(error):
                return False
            raise
        return described["Stacks"][0]["StackStatus"] != "REVIEW_IN_PROGRESS"

    async def _has_changes(self, change_set: str) -> bool:
        waiter = self.client.get_waiter("change_set_create_complete")
        try:
            await waiter.wait(ChangeSetName=change_set, WaiterConfig=self._waiter_config())
        except WaiterError:
            described = await self.client.describe_change_set(ChangeSetName=change_set)
            reason = described.get("StatusReason", "")
            if any(words in reason for words in NO_CHANGES):
                return False
            raise StackFailed(f"stack {self.stack}: {reason}") from None
        return True

    async def _wait_for_stack(self, kind: Literal["CREATE", "UPDATE"]) -> None:
        try:
            if kind == "CREATE":
                created = self.client.get_waiter("stack_create_complete")
                await created.wait(StackName=self.stack, WaiterConfig=self._waiter_config())
            else:
                updated = self.client.get_waiter("stack_update_complete")
                await updated.wait(StackName=self.stack, WaiterConfig=self._waiter_config())
        except WaiterError as error:
            events = await self.client.describe_stack_events(StackName=self.stack)
            reasons = failures(events["StackEvents"])
            raise StackFailed(f"stack {self.stack}: {reasons or error}") from None

    def _waiter_config(self) -> "WaiterConfigTypeDef":
        # The SDK's type requires an int, but the waiter only sleeps for the value.
        delay = cast("int", self.poll_interval_s)
        return {"Delay": delay, "MaxAttempts": int(STACK_TIMEOUT_S / self.poll_interval_s)}


def failures(events: "Sequence[StackEventTypeDef]") -> str:
    """Return the failed resources with their reasons, without those that were only cancelled."""
    return "; ".join(
        f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason', 'no reason given')}"
        for event in events
        if event["ResourceStatus"].endswith("_FAILED")
        and "cancelled" not in event.get("ResourceStatusReason", "")
    )
