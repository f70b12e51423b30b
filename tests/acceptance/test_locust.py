"""Locust from the command line, against a running system.

A run ends after --requests. --run-time is only a limit for a run that hangs; it lies below the timeout of the test, so
that the test fails with the output of locust.
"""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from harness.origin import origin
from harness.processes import ROOT, python_path
from harness.reserved_port import ReservedPort, closed_port
from harness.system import System
from loadtest.run_report.record import RunRecord

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]

RUN_TIME = "240s"


@dataclass(frozen=True, slots=True)
class Ran:
    code: int
    output: str
    folder: Path

    async def record(self) -> RunRecord:
        return await asyncio.to_thread(RunRecord.from_json, self.folder / "locust.json")


@pytest_asyncio.fixture(name="origin", scope="module", loop_scope="session")
async def _origin() -> AsyncIterator[str]:
    async with origin() as images:
        yield images.base


async def locust(folder: Path, host: str, *arguments: str) -> Ran:
    """Run locust to its end."""
    return await ended(await start(folder, host, *arguments), folder)


async def start(folder: Path, host: str, *arguments: str) -> Process:
    """Start locust headless. `arguments` must limit the run."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "locust", "--locustfile", "loadtest/locustfile.py", "--headless"),
        *("--host", host, "--report", str(folder), "--run-time", RUN_TIME, "--only-summary"),
        *arguments,
        cwd=ROOT,
        env={**os.environ, **python_path()},
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=STDOUT,
    )


async def ended(process: Process, folder: Path) -> Ran:
    out, _ = await process.communicate()
    return Ran(process.returncode or 0, out.decode(), folder)


@pytest.mark.parametrize(
    ("arguments", "totals"),
    [
        ("UnarySubmit --requests 20 --users 2", {"SubmitImage": 20}),
        ("BulkSubmit --requests 40 --users 2 --bulk-images 15", {"SubmitImages": 40}),
        ("Status --requests 20 --users 1", {"SubmitImage": 1, "GetStatus": 20}),
        (
            "Watch --requests 3 --users 2 --watch-ids 2",
            {"SubmitImage": 6, "WatchRequest": 3, "WatchRequest to the end": 3},
        ),
    ],
)
async def test_each_user_makes_its_calls_and_writes_a_report(
    running: System, origin: str, tmp_path: Path, arguments: str, totals: dict[str, int]
) -> None:
    ran = await locust(tmp_path, running.address, "--origin", origin, *arguments.split())
    assert ran.code == 0, ran.output
    record = await ran.record()
    assert record.totals == {**totals, "failed": 0}
    assert record.verdict.passed
    assert set(record.latencies) == set(totals)


async def test_an_open_loop_makes_all_its_calls_over_two_processes(
    running: System, origin: str, tmp_path: Path
) -> None:
    held = ReservedPort()
    port = ("--master-bind-port", str(held.number), "--master-bind-host", "127.0.0.1")
    ran = await locust(
        *(tmp_path, running.address, "--origin", origin, "--processes", "2", *port),
        *("--master-port", port[1], "--rate", "20", "--users", "8", "--requests", "30"),
        "UnarySubmit",
    )
    assert ran.code == 0, ran.output
    record = await ran.record()
    assert record.totals == {"SubmitImage": 30, "failed": 0}
    assert {"locust", "locust worker 0", "locust worker 1"} == set(record.timeline.memory)


async def test_failures_count_by_reason_and_fail_the_run(
    tmp_path: Path,
) -> None:
    with closed_port() as unused:
        ran = await locust(
            *(tmp_path, f"127.0.0.1:{unused}"),
            *("--users", "3", "--spawn-rate", "3", "--requests", "9"),
        )
    assert ran.code == 1, ran.output
    record = await ran.record()
    assert set(record.errors) == {"UNAVAILABLE"}
    assert record.totals["failed"] == sum(record.errors.values())
    assert not record.verdict.passed
    assert "RpcError('UNAVAILABLE')" in ran.output


async def test_sigterm_ends_a_run_with_a_report(
    running: System, origin: str, tmp_path: Path
) -> None:
    process = await start(tmp_path, running.address, "--origin", origin, "Watch", "BulkSubmit")
    assert process.stdout is not None
    output = ""
    while "All users spawned" not in output:
        line = await process.stdout.readline()
        assert line, output
        output += line.decode()
    process.send_signal(signal.SIGTERM)
    ran = await ended(process, tmp_path)
    assert ran.code == 0, ran.output
    assert (await ran.record()).heading.settings["user classes"] == "BulkSubmit Watch"


async def test_an_invalid_option_is_one_line(tmp_path: Path) -> None:
    ran = await locust(tmp_path, "127.0.0.1:1", "--watch-ids", "101")
    assert ran.code == 2
    assert "locust: --watch-ids 101: one watch has at most 100" in ran.output.splitlines()
