"""`imageservice-loadtest million` against a running system: it proves, and it finds what is missing."""

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
from harness.command import python_path
from harness.system import System
from loadtest.run_report.record import RunRecord

pytestmark = pytest.mark.timeout(240)

_MESSAGES = "ApproximateNumberOfMessages"


async def start(
    running: System, folder: Path, *arguments: str, endpoint: str | None = None
) -> Process:
    """The driver as its user starts it, with a ready file that leads to the test system; `endpoint` is a proxy."""
    await at_rest(running)
    # All of AWS by one address: the topic can send only to a queue that is beside it.
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


async def at_rest(running: System) -> None:
    """Wait until nothing that other tests submitted is under way: the driver counts the rows that a run adds."""
    async with get_session().create_client("sqs", **running.aws.sdk()) as sqs:
        while True:
            asked = await sqs.get_queue_attributes(
                QueueUrl=running.stack.queue_url, AttributeNames=["All"]
            )
            told = asked["Attributes"].items()
            if not any(int(count) for name, count in told if name.startswith(_MESSAGES)):
                return
            await asyncio.sleep(0.1)


class HeldProof:
    """A way to AWS on which the driver's proof waits."""

    def __init__(self) -> None:
        self.let_go = asyncio.Event()

    async def hook(self, call: ProxiedCall, forward: Forward) -> web.Response:
        if call.operation == "BatchGetItem":
            await self.let_go.wait()
        return await forward()


async def ended(process: Process) -> tuple[int, str]:
    """The exit code and all that was said."""
    said, _ = await process.communicate()
    return process.returncode or 0, said.decode()


async def report_of(folder: Path) -> RunRecord:
    return await asyncio.to_thread(RunRecord.from_json, folder / "report" / "report.json")


async def test_a_good_run_is_proven(running: System, tmp_path: Path) -> None:
    """Through the stream, followed by notifications, proven from the tables."""
    code, said = await ended(await start(running, tmp_path, "--requests", "300"))
    assert code == 0, said
    record = await report_of(tmp_path)
    assert record.verdict.passed
    assert (record.totals["acknowledged"], record.totals["completed"]) == (300, 300)
    assert record.latencies["terminal"].count == 300
    files = await asyncio.to_thread(os.listdir, tmp_path / "report")
    assert {"report.json", "faults.txt"} <= set(files)


async def test_the_public_contract_is_enough(running: System, tmp_path: Path) -> None:
    """With nothing but an address: calls of their own, WatchRequest, GetStatus."""
    options = ["--address", running.address, "--requests", "60", "--unary"]
    code, said = await ended(await start(running, tmp_path, *options))
    assert code == 0, said
    assert (await report_of(tmp_path)).totals["completed"] == 60


async def test_a_row_that_vanishes_is_named(running: System, tmp_path: Path) -> None:
    """After it has ended, and before the driver looks it up."""
    before = await ids(running)
    async with aws_proxy(running.aws.endpoint) as proxy:
        proof = HeldProof()
        proxy.hook = proof.hook
        process = await start(running, tmp_path, "--requests", "20", endpoint=proxy.endpoint)
        (victim,) = await completed_rows(running, before)
        await delete_row(running, victim)
        proof.let_go.set()
        code, said = await ended(process)
    assert code == 1, said
    assert f"{victim} acknowledged, and absent" in said
    faults = await asyncio.to_thread((tmp_path / "report" / "faults.txt").read_text)
    assert f"lost: {victim}" in faults


async def test_an_interrupted_run_tells_how_far_it_came(running: System, tmp_path: Path) -> None:
    before = await ids(running)
    process = await start(running, tmp_path, "--requests", "10000", "--rate", "10")
    # Half a second of the run: the driver has long been told that the first of them was acknowledged.
    await completed_rows(running, before, count=5)
    process.send_signal(signal.SIGINT)
    code, said = await ended(process)
    assert code == 130, said
    record = await report_of(tmp_path)
    assert not record.verdict.passed
    assert record.verdict.sentences[0] == "Interrupted."
    assert 0 < int(record.totals["acknowledged"]) < 10_000


async def completed_rows(running: System, before: set[str], *, count: int = 1) -> list[str]:
    """Wait for rows that were not there before and are COMPLETED; answers the ids of so many."""
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
        asked: dict[str, Any] = {"TableName": table, "ConsistentRead": True}
        found: list[dict[str, Any]] = []
        while True:
            # Others have filled the table, beyond a page.
            answer = await dynamodb.scan(**asked)
            found += answer["Items"]
            if "LastEvaluatedKey" not in answer:
                return found
            asked["ExclusiveStartKey"] = answer["LastEvaluatedKey"]
