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

from cli.local.embedded_aws import client_environment
from harness.command import python_path
from harness.system import System
from loadtest.run_report.record import RunRecord

pytestmark = pytest.mark.timeout(240)


async def start(running: System, folder: Path, *arguments: str) -> Process:
    """The driver as its user starts it, with a ready file that leads to the test system."""
    # All of AWS by one address: the topic can send only to a queue that is beside it.
    aws = client_environment(running.aws.endpoint, "tests")
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
    assert {"report.html", "report.json", "report.png", "faults.txt"} <= set(files)


async def test_the_public_contract_is_enough(running: System, tmp_path: Path) -> None:
    """With nothing but an address: calls of their own, WatchRequest, GetStatus."""
    options = ["--address", running.address, "--requests", "60", "--unary"]
    code, said = await ended(await start(running, tmp_path, *options))
    assert code == 0, said
    assert (await report_of(tmp_path)).totals["completed"] == 60


async def test_a_row_that_vanishes_is_named(running: System, tmp_path: Path) -> None:
    """An open loop, so that the run still goes on when a first one has ended and its row is taken away."""
    before = await ids(running)
    process = await start(running, tmp_path, "--requests", "120", "--rate", "30")
    victim = await a_completed_row(running, before)
    await delete_row(running, victim)
    code, said = await ended(process)
    assert code == 1, said
    assert f"{victim} acknowledged, and absent" in said
    faults = await asyncio.to_thread((tmp_path / "report" / "faults.txt").read_text)
    assert f"lost: {victim}" in faults


async def test_an_interrupted_run_tells_how_far_it_came(running: System, tmp_path: Path) -> None:
    before = await ids(running)
    process = await start(running, tmp_path, "--requests", "10000", "--rate", "10")
    await a_completed_row(running, before)
    process.send_signal(signal.SIGINT)
    code, said = await ended(process)
    assert code == 130, said
    record = await report_of(tmp_path)
    assert not record.verdict.passed
    assert record.verdict.sentences[0] == "Interrupted."
    assert 0 < int(record.totals["acknowledged"]) < 10_000


async def a_completed_row(running: System, before: set[str]) -> str:
    """Wait for a row that was not there before and is COMPLETED; answers its id."""
    while True:
        for row in await rows(running):
            request_id: str = row["requestId"]["S"]
            if request_id not in before and row["status"]["S"] == "COMPLETED":
                return request_id


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
