"""`imageservice-loadtest walk` against a running system."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from pathlib import Path

import pytest

from harness.command import python_path
from harness.system import System
from loadtest.run_report.record import RunRecord

pytestmark = pytest.mark.timeout(240)


async def start(running: System, folder: Path, *arguments: str) -> Process:
    """The driver as its user starts it, with nothing but an address."""
    options = ["--address", running.address, "--hosts", "1", "--report", str(folder / "report")]
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "loadtest.main", "walk", *options, *arguments),
        stdout=PIPE,
        stderr=STDOUT,
        env=python_path(),
    )


async def report_of(folder: Path) -> RunRecord:
    return await asyncio.to_thread(RunRecord.from_json, folder / "report" / "report.json")


async def test_each_is_listed_once_while_more_come(running: System, tmp_path: Path) -> None:
    """All lists of five customers, to their ends."""
    process = await start(running, tmp_path, "--requests", "1000", "--customers", "5")
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    record = await report_of(tmp_path)
    assert record.verdict.passed
    totals = record.totals
    assert int(totals["submitted meanwhile"]) > 0
    assert int(totals["tokens refused"]) == int(totals["walks"])
    [table] = record.tables
    assert {str(row[0]).partition(",")[0] for row in table.rows} == {
        "all requests",
        "a span of time",
        "COMPLETED requests",
        "FAILED requests",
        "images",
    }
    files = await asyncio.to_thread(os.listdir, tmp_path / "report")
    assert {"report.html", "report.json", "report.png", "faults.txt"} <= set(files)


async def test_an_interrupted_walk_proves_nothing(running: System, tmp_path: Path) -> None:
    process = await start(running, tmp_path, "--requests", "1000", "--customers", "5")
    assert process.stdout is not None
    async for line in process.stdout:
        if line.startswith(b"ended"):
            process.send_signal(signal.SIGINT)
            break
    said, _ = await process.communicate()
    assert process.returncode == 130, said.decode()
    record = await report_of(tmp_path)
    assert not record.verdict.passed
    assert record.verdict.sentences[0] == "Interrupted."
