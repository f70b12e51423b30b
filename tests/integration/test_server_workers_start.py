"""Several server processes on one port: an error at start-up is reported once, in one readable line."""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
import pytest_asyncio

from harness.aws import RecordingAws
from harness.system import System, system
from harness.worker_group import files_in, worker_environment, worker_group


@pytest_asyncio.fixture
async def server_system(embedded_aws: RecordingAws) -> AsyncIterator[System]:
    async with system(embedded_aws) as running:
        yield running


async def ended(environment: Mapping[str, str], *arguments: str) -> tuple[int, list[str]]:
    """Run the server until it exits. Returns its exit status and its standard error."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "server", *arguments),
        env=environment,
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await process.communicate()
    assert process.returncode is not None
    return process.returncode, errors.decode().splitlines()


async def test_workers_never_join_a_port_in_use(server_system: System, tmp_path: Path) -> None:
    """Not even a port that other workers share: one line names the setting that is wrong."""
    environment = worker_environment(server_system, tmp_path)
    async with worker_group(2, environment) as group:
        again = worker_environment(server_system, tmp_path, GRPC_ADDRESS=f"127.0.0.1:{group.port}")
        for arguments in (["--workers", "2"], []):
            status, (line,) = await ended(again, *arguments)
            assert status == 1
            assert line.startswith("GRPC_ADDRESS: ")
            assert "already in use" in line
        assert len(await group.children()) == 2


async def test_a_metrics_port_in_use_is_reported_in_one_line(
    server_system: System, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        environment = worker_environment(
            server_system, tmp_path, METRICS_PORT=str(taken.getsockname()[1])
        )
        status, (line,) = await ended(environment, "--workers", "2")
    assert status == 1
    assert line.startswith("METRICS_PORT: ")


@pytest.mark.parametrize(
    ("settings", "status", "names"),
    [
        pytest.param(
            {"MAX_WATCHED_REQUESTS": "many", "QUEUE_URL": None},
            2,
            ["QUEUE_URL", "MAX_WATCHED_REQUESTS"],
        ),
        pytest.param({"AWS_REGION": None, "AWS_DEFAULT_REGION": None}, 1, ["AWS"]),
    ],
    ids=["our settings", "the SDK's settings"],
)
async def test_an_error_of_all_workers_is_reported_once(
    server_system: System,
    tmp_path: Path,
    settings: dict[str, str | None],
    status: int,
    names: list[str],
) -> None:
    """The parent exits with the status with which one process would have exited."""
    environment = worker_environment(server_system, tmp_path)
    for name, value in settings.items():
        environment.pop(name, None)
        environment.update({} if value is None else {name: value})
    got, lines = await ended(environment, "--workers", "3")
    assert (got, [line.partition(":")[0] for line in lines]) == (status, names)
    assert await files_in(tmp_path) == []
