"""`imageservice-loadtest walk` against a running system."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from harness.aws import RecordingAws
from harness.processes import python_path
from harness.system import System, system
from loadtest.run_report.record import RunRecord

pytestmark = pytest.mark.timeout(240)

SMALL_RUN = ("--requests", "200", "--customers", "2", "--rate", "5")


@pytest.fixture
async def indexed(embedded_aws: RecordingAws) -> AsyncIterator[System]:
    """A separate system with an indexer."""
    async with system(embedded_aws) as running:
        await running.start_server()
        await running.start_consumer(RETRY_DELAY_S="30")
        await running.start_indexer()
        yield running


async def start(running: System, folder: Path, *arguments: str) -> Process:
    """Start the driver with only an address."""
    options = ["--address", running.address, "--hosts", "1", "--report", str(folder / "report")]
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "loadtest.main", "walk", *options, *arguments),
        stdout=PIPE,
        stderr=STDOUT,
        env=python_path(),
    )


async def report_of(folder: Path) -> RunRecord:
    return await asyncio.to_thread(RunRecord.from_json, folder / "report" / "report.json")


def walked(record: RunRecord) -> set[str]:
    """Return the kinds of lists in the report."""
    [table] = record.tables
    return {str(row[0]).partition(",")[0] for row in table.rows}


async def test_each_request_is_listed_once_while_more_are_submitted(
    indexed: System, tmp_path: Path
) -> None:
    """All pages of all lists of three customers, including PENDING requests and searches."""
    size = ("--requests", "300", "--customers", "3", "--rate", "10")
    process = await start(indexed, tmp_path, *size)
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    record = await report_of(tmp_path)
    assert record.verdict.passed
    totals = record.totals
    assert int(totals["submitted during the walks"]) > 0
    assert 0 < int(totals["rejected tokens"]) <= int(totals["walks"])
    assert walked(record) == {
        "all requests",
        "a span of time",
        "PENDING requests",
        "COMPLETED requests",
        "FAILED requests",
        "images",
        "search",
        "search for a format",
    }
    files = await asyncio.to_thread(os.listdir, tmp_path / "report")
    assert {"report.json", "faults.txt"} <= set(files)


async def test_searches_are_omitted_if_the_server_has_no_search(
    embedded_aws: RecordingAws, tmp_path: Path
) -> None:
    """The report says so. If no selected list remains, nothing is submitted."""
    async with system(embedded_aws) as running:
        await running.start_server(SEARCH_URL="")
        await running.start_consumer(RETRY_DELAY_S="30")
        only = (*SMALL_RUN, "--only", "search")
        process = await start(running, tmp_path, *only, "--only", "spans")
        output, _ = await process.communicate()
        assert process.returncode == 0, output.decode()
        record = await report_of(tmp_path)
        process = await start(running, tmp_path, *only)
        output, _ = await process.communicate()
    assert record.verdict.sentences[-1] == "The server has no search: no search was walked."
    assert walked(record) == {"a span of time"}
    assert record.heading.settings["walked only"] == "search, spans"
    assert process.returncode == 2
    assert output.decode().splitlines()[-1] == (
        "imageservice-loadtest: --only search: the server has no search"
    )


async def test_an_interrupted_walk_fails(running: System, tmp_path: Path) -> None:
    process = await start(running, tmp_path, "--requests", "1000", "--customers", "5")
    assert process.stdout is not None
    async for line in process.stdout:
        if line.startswith(b"ended"):
            process.send_signal(signal.SIGINT)
            break
    output, _ = await process.communicate()
    assert process.returncode == 130, output.decode()
    record = await report_of(tmp_path)
    assert not record.verdict.passed
    assert record.verdict.sentences[0] == "Interrupted."
