"""`imageservice-loadtest million` against a running system, with and without a lost request."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from pathlib import Path
from typing import Any

import pytest
from aiobotocore.session import get_session
from aiohttp import web

from cli.local.embedded_aws import client_environment
from harness.aws_proxy import Forward, ProxiedCall, aws_proxy
from harness.processes import python_path
from harness.system import System
from loadtest.run_report.record import RunRecord

pytestmark = pytest.mark.timeout(240)

_MESSAGES = "ApproximateNumberOfMessages"


async def start(
    running: System, folder: Path, *arguments: str, endpoint: str | None = None
) -> Process:
    """Start the driver with a ready file of the test system. `endpoint` is that of a proxy to AWS."""
    await wait_until_idle(running)
    # One endpoint for all services: the topic delivers only to queues of its own emulator.
    aws = client_environment(endpoint or running.aws.endpoint, "tests")
    environment = {**aws, **running.stack.environment()}
    ready = {"address": running.address, "environment": environment, "metrics": [], "pids": {}}
    ready_file = folder / "ready.json"
    await asyncio.to_thread(ready_file.write_text, json.dumps(ready))
    options = ["--hosts", "1", "--report", str(folder / "report")]
    if "--address" not in arguments:
        options += ["--ready-file", str(ready_file)]
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "loadtest.main", "million", *options, *arguments),
        stdout=PIPE,
        stderr=STDOUT,
        env=python_path(),
    )


async def wait_until_idle(running: System) -> None:
    """Wait for requests of other tests, because the driver counts the rows that its run adds."""
    async with get_session().create_client("sqs", **running.aws.sdk()) as sqs:
        while True:
            response = await sqs.get_queue_attributes(
                QueueUrl=running.stack.queue_url, AttributeNames=["All"]
            )
            attributes = response["Attributes"].items()
            if not any(int(count) for name, count in attributes if name.startswith(_MESSAGES)):
                return
            await asyncio.sleep(0.1)


class BlockedVerification:
    """A hook of the AWS proxy that blocks the reads of the verification."""

    def __init__(self) -> None:
        self.released = asyncio.Event()

    async def hook(self, call: ProxiedCall, forward: Forward) -> web.Response:
        if call.operation == "BatchGetItem":
            await self.released.wait()
        return await forward()


async def ended(process: Process) -> tuple[int, str]:
    """Wait for the end and return exit code and output."""
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


async def report_of(folder: Path) -> RunRecord:
    return await asyncio.to_thread(RunRecord.from_json, folder / "report" / "report.json")


async def test_a_successful_run_is_verified(running: System, tmp_path: Path) -> None:
    """Over streams, with notifications, verified from the tables."""
    code, output = await ended(await start(running, tmp_path, "--requests", "300"))
    assert code == 0, output
    record = await report_of(tmp_path)
    assert record.verdict.passed
    assert (record.totals["acknowledged"], record.totals["completed"]) == (300, 300)
    assert record.latencies["terminal"].count == 300
    files = await asyncio.to_thread(os.listdir, tmp_path / "report")
    assert {"report.json", "faults.txt"} <= set(files)


async def test_the_public_contract_suffices(running: System, tmp_path: Path) -> None:
    """With only an address: unary calls, WatchRequest, GetStatus."""
    options = ["--address", running.address, "--requests", "60", "--unary"]
    code, output = await ended(await start(running, tmp_path, *options))
    assert code == 0, output
    assert (await report_of(tmp_path)).totals["completed"] == 60


async def test_a_deleted_row_is_named(running: System, tmp_path: Path) -> None:
    """Deleted after the request ended, and before the driver reads it."""
    before = await ids(running)
    async with aws_proxy(running.aws.endpoint) as proxy:
        verification = BlockedVerification()
        proxy.hook = verification.hook
        process = await start(running, tmp_path, "--requests", "20", endpoint=proxy.endpoint)
        (victim,) = await completed_rows(running, before)
        await delete_row(running, victim)
        verification.released.set()
        code, output = await ended(process)
    assert code == 1, output
    assert f"{victim} acknowledged, and absent" in output
    faults = await asyncio.to_thread((tmp_path / "report" / "faults.txt").read_text)
    assert f"lost: {victim}" in faults


async def test_an_interrupted_run_reports_its_progress(running: System, tmp_path: Path) -> None:
    before = await ids(running)
    process = await start(running, tmp_path, "--requests", "10000", "--rate", "10")
    # Half a second of the run, so the driver has received the first acknowledgements.
    await completed_rows(running, before, count=5)
    process.send_signal(signal.SIGINT)
    code, output = await ended(process)
    assert code == 130, output
    record = await report_of(tmp_path)
    assert not record.verdict.passed
    assert record.verdict.sentences[0] == "Interrupted."
    assert 0 < int(record.totals["acknowledged"]) < 10_000


async def completed_rows(running: System, before: set[str], *, count: int = 1) -> list[str]:
    """Wait for `count` new COMPLETED rows and return their ids."""
    found: list[str] = []
    while len(found) < count:
        completed = [row for row in await rows(running) if row["status"]["S"] == "COMPLETED"]
        new = {row["requestId"]["S"] for row in completed} - before
        found = sorted(new)[:count]
    return found


async def delete_row(running: System, request_id: str) -> None:
    async with get_session().create_client("dynamodb", **running.aws.sdk()) as dynamodb:
        await dynamodb.delete_item(
            TableName=running.stack.requests_table, Key={"requestId": {"S": request_id}}
        )


async def ids(running: System) -> set[str]:
    return {row["requestId"]["S"] for row in await rows(running)}


async def rows(running: System) -> list[dict[str, Any]]:
    async with get_session().create_client("dynamodb", **running.aws.sdk()) as dynamodb:
        table = running.stack.requests_table
        query: dict[str, Any] = {"TableName": table, "ConsistentRead": True}
        found: list[dict[str, Any]] = []
        while True:
            # Other tests have added more rows than one page holds.
            answer = await dynamodb.scan(**query)
            found += answer["Items"]
            if "LastEvaluatedKey" not in answer:
                return found
            query["ExclusiveStartKey"] = answer["LastEvaluatedKey"]
