"""The AWS under a benchmark: the null one, or the embedded one with its stack."""

import re
import tempfile
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
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
    """A client of the SDK: the benchmark's own hand."""
    # Its type has a case for each service by name.
    create: Any = get_session().create_client
    opened: AbstractAsyncContextManager[Any] = create(
        service,
        endpoint_url=endpoint,
        region_name=_REGION,
        aws_access_key_id="bench",
        aws_secret_access_key="bench",  # noqa: S106  the emulator asks for none
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
    """`pid` is of the process that plays AWS."""

    name: str
    endpoint: str
    pid: int
    stack: Mapping[str, str]

    def with_settings(self, **settings: str) -> "Backend":
        """The same, on which processes have these settings too."""
        return replace(self, stack={**self.stack, **settings})

    def settings(self, role: str) -> dict[str, str]:
        """The environment of a server or consumer on it; free ports for metrics, and quiet logs."""
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
        }


@dataclass(frozen=True, slots=True)
class NullControl:
    """The null AWS's levers, see `loadtest.bench.null_aws`."""

    url: str

    async def calls(self) -> dict[str, Any]:
        """`calls`, `items` and `bytes` by operation; `cpu_s`, its own CPU time."""
        return await self._ask("/_calls")

    async def queue(self) -> dict[str, int]:
        return await self._ask("/_queue")

    async def reset(self) -> None:
        await self._ask("/_reset", {})

    async def fill(self, urls: Iterable[str]) -> None:
        """One request a URL into the queue."""
        urls = list(urls)
        for start in range(0, len(urls), _FILL_AT_ONCE):
            await self._ask("/_fill", {"urls": urls[start : start + _FILL_AT_ONCE]})

    async def complete(self, request_ids: Iterable[str]) -> None:
        await self._ask("/_complete", {"request_ids": list(request_ids)})

    async def age(self, seconds: float) -> None:
        """Rows that are read for the first time are so old."""
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
            yield Backend(NULL, url, process.pid, _null_stack(url))


def _null_stack(url: str) -> dict[str, str]:
    return {
        "REQUESTS_TABLE": "requests",
        "IMAGES_TABLE": "images",
        "QUEUE_URL": f"{url}/{_ACCOUNT}/queue",
        "FAILED_REQUESTS_QUEUE_URL": f"{url}/{_ACCOUNT}/dead-letters",
        "DLQ_URL": f"{url}/{_ACCOUNT}/undelivered",
        "BUCKET": "bucket",
        "TOPIC_ARN": f"arn:aws:sns:us-east-1:{_ACCOUNT}:topic",
        "PUBLIC_BASE_URL": "http://images.example/",
    }


@asynccontextmanager
async def embedded_aws() -> AsyncIterator[Backend]:
    """`imageservice up`'s AWS, with a stack of its own, so that nobody else works on its queue."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ready.json"
        arguments = ("up", "--address", f"{HOST}:{free_port()}", "--ready-file", str(path))
        idle = {"RECEIVE_WAIT_S": "20"}
        async with running("cli.main", *arguments, environment=idle) as process:
            ready = await ready_file(process, path)
            endpoint = ready["aws_endpoint"]
            yield Backend(EMBEDDED, endpoint, ready["pids"]["aws"], await _deploy(endpoint))


async def _deploy(endpoint: str) -> dict[str, str]:
    """A further stack of core/stack.yaml; its outputs by the names of our settings."""
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
    """RequestsTable as REQUESTS_TABLE."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", output).upper()


@asynccontextmanager
async def backend(trial: Trial) -> AsyncIterator[Backend]:
    opened = null_aws() if trial.backend == NULL else embedded_aws()
    async with opened as found:
        yield found
