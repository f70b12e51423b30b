"""The AWS of a benchmark: the null AWS, or the embedded AWS with a stack of its own."""

import re
import tempfile
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp
from aiobotocore.session import get_session

import core
from loadtest.bench.benchmark import EMBEDDED, NULL, Trial
from loadtest.bench.null_aws.service import DELAY_S
from loadtest.bench.system.process import HOST, free_port, ready_file, running

_ACCOUNT = "000000000000"
_REGION = "us-east-1"
_STACK = "bench"
_TEMPLATE = Path(core.__file__).parent / "stack.yaml"
_FILL_AT_ONCE = 10_000


def client(service: str, endpoint: str) -> AbstractAsyncContextManager[Any]:
    """Open an SDK client for the benchmark itself."""
    # The type of create_client has an overload for each service name.
    create: Any = get_session().create_client
    opened: AbstractAsyncContextManager[Any] = create(
        service,
        endpoint_url=endpoint,
        region_name=_REGION,
        aws_access_key_id="bench",
        aws_secret_access_key="bench",  # noqa: S106  the emulator ignores it
    )
    return opened


def _sdk(endpoint: str, role: str) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_REGION": _REGION,
        "AWS_DEFAULT_REGION": _REGION,
        "AWS_ACCESS_KEY_ID": role,
        "AWS_SECRET_ACCESS_KEY": "bench",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@dataclass(frozen=True, slots=True)
class Backend:
    """`stack` holds the outputs of the stack by setting, `overrides` further settings of servers and consumers."""

    name: str
    endpoint: str
    stack: Mapping[str, str]
    overrides: Mapping[str, str] = field(default_factory=dict)

    def with_settings(self, **settings: str) -> "Backend":
        """Return a copy whose servers and consumers also have these settings."""
        return replace(self, overrides={**self.overrides, **settings})

    def settings(self, role: str) -> dict[str, str]:
        """Return the environment of a server or consumer, with a free port for metrics and logs from WARNING."""
        return {
            **self.stack,
            **_sdk(self.endpoint, role),
            "CUSTOMER_TAG_KEY": "a key of the benchmarks",
            "ALLOWED_NETWORKS": "127.0.0.1/32",
            "METRICS_HOST": HOST,
            "METRICS_PORT": str(free_port()),
            "DRAIN_DELAY_S": "0",
            "RECEIVE_WAIT_S": "1",
            "LOG_LEVEL": "warning",
            "LOG_FORMAT": "console",
            **self.overrides,
        }


@dataclass(frozen=True, slots=True)
class NullControl:
    """A client of the control endpoints of `loadtest.bench.null_aws`."""

    url: str

    async def calls(self) -> dict[str, Any]:
        """Return `calls`, `items` and `bytes` of requests by operation."""
        return await self._ask("/_calls")

    async def reset(self) -> None:
        await self._ask("/_reset", {})

    async def fill(self, urls: Iterable[str]) -> None:
        """Put one message per URL into the queue."""
        urls = list(urls)
        for start in range(0, len(urls), _FILL_AT_ONCE):
            await self._ask("/_fill", {"urls": urls[start : start + _FILL_AT_ONCE]})

    async def complete(self, request_ids: Iterable[str]) -> None:
        await self._ask("/_complete", {"request_ids": list(request_ids)})

    async def age(self, seconds: float) -> None:
        """Set the age that a row has when it is first read."""
        await self._ask("/_age", {"seconds": seconds})

    async def _ask(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        method = "GET" if body is None else "POST"
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, self.url + path, json=body) as response,
        ):
            response.raise_for_status()
            answer: dict[str, Any] = await response.json(content_type=None)
            return answer


@asynccontextmanager
async def null_aws(delay: float = DELAY_S) -> AsyncIterator[Backend]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ready.json"
        arguments = ("--ready-file", str(path), "--delay", str(delay))
        async with running("loadtest.bench.null_aws", *arguments) as process:
            url = (await ready_file(process, path))["url"]
            yield Backend(NULL, url, _null_stack(url))


def _null_stack(url: str) -> dict[str, str]:
    return {
        "REQUESTS_TABLE": "requests",
        "IMAGES_TABLE": "images",
        "QUEUE_URL": f"{url}/{_ACCOUNT}/queue",
        "BULK_QUEUE_URL": f"{url}/{_ACCOUNT}/bulk",
        "FAILED_REQUESTS_QUEUE_URL": f"{url}/{_ACCOUNT}/dead-letters",
        "DLQ_URL": f"{url}/{_ACCOUNT}/undelivered",
        "BUCKET": "bucket",
        "TOPIC_ARN": f"arn:aws:sns:us-east-1:{_ACCOUNT}:topic",
        "PUBLIC_BASE_URL": "http://images.example/",
    }


@asynccontextmanager
async def embedded_aws() -> AsyncIterator[Backend]:
    """Start the AWS of `imageservice up` with a separate stack, so that its own consumer does not read the queue."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ready.json"
        arguments = ("up", "--address", f"{HOST}:{free_port()}", "--ready-file", str(path))
        idle = {"RECEIVE_WAIT_S": "20"}
        async with running("cli.main", *arguments, environment=idle) as process:
            ready = await ready_file(process, path)
            endpoint = ready["aws_endpoint"]
            yield Backend(EMBEDDED, endpoint, await _deploy(endpoint))


async def _deploy(endpoint: str) -> dict[str, str]:
    """Create another stack from core/stack.yaml and return its outputs by the names of our settings."""
    async with client("cloudformation", endpoint) as cloudformation:
        await cloudformation.create_stack(
            StackName=_STACK,
            TemplateBody=_TEMPLATE.read_text(encoding="utf-8"),
            Parameters=[{"ParameterKey": "NamePrefix", "ParameterValue": _STACK}],
            Capabilities=["CAPABILITY_IAM"],
        )
        waiter = cloudformation.get_waiter("stack_create_complete")
        await waiter.wait(StackName=_STACK, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
        described = await cloudformation.describe_stacks(StackName=_STACK)
    outputs = described["Stacks"][0]["Outputs"]
    return {_setting(output["OutputKey"]): output["OutputValue"] for output in outputs}


def _setting(output: str) -> str:
    """Convert RequestsTable to REQUESTS_TABLE."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", output).upper()


@asynccontextmanager
async def backend(trial: Trial) -> AsyncIterator[Backend]:
    opened = null_aws() if trial.backend == NULL else embedded_aws()
    async with opened as found:
        yield found
