"""The suite's AWS: the embedded one with a recorder, and stacks of one's own."""

import asyncio
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

from cli.local.embedded_aws import REGION, EmbeddedAws, client_environment
from cli.local.stack import StackOutputs, deploy
from harness.calls import Call

ROOT = Path(__file__).parents[2]


class DeployStack(Protocol):
    """Deploys the template under a prefix of one's own; parameters are the template's."""

    async def __call__(self, prefix: str, **parameters: str) -> StackOutputs: ...


@dataclass(frozen=True, slots=True)
class RecordingAws:
    """An embedded AWS that writes down what the roles ask for."""

    aws: EmbeddedAws
    record: Path

    @classmethod
    async def start(cls, record: Path) -> Self:
        path = os.pathsep.join([str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")])
        aws = await EmbeddedAws.start(
            module="harness.recording_aws",
            extra_environment={"RECORD_CALLS_TO": str(record), "PYTHONPATH": path},
        )
        return cls(aws, record)

    @property
    def endpoint(self) -> str:
        return self.aws.endpoint

    def environment(self, role: str) -> dict[str, str]:
        """Return the SDK's variables for a process in `role`: server, consumer, operator or tests."""
        return client_environment(self.endpoint, role)

    def sdk(self, role: str = "tests") -> dict[str, Any]:
        """Return the arguments for `create_client`; `tests` is the suite's own hand, allowed all."""
        return {
            "endpoint_url": self.endpoint,
            "region_name": REGION,
            "aws_access_key_id": role,
            "aws_secret_access_key": "embedded",
        }

    async def deploy(self, prefix: str, **parameters: str) -> StackOutputs:
        return await deploy(self.endpoint, name_prefix=prefix, parameters=parameters)

    async def recorded(self) -> list[Call]:
        text = await asyncio.to_thread(self.record.read_text, encoding="utf-8")
        return [Call(*json.loads(line)) for line in text.splitlines()]

    async def stop(self) -> None:
        await self.aws.stop()
