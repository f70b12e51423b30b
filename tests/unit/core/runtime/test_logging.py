"""The logs that a process writes to standard error."""

import json
import os
import socket
import subprocess
import sys

import pytest

from core.runtime.logging import LogThrottle

PROGRAM = """
import logging
import structlog
from core.runtime.logging import configure_logs
configure_logs("info", "{format}", "server", worker=3)
logging.getLogger("opensearch").error("traceback")
structlog.get_logger().info("serving", port=50051)
"""


@pytest.mark.parametrize("format_", ["json", "console"])
def test_a_line_is_one_write_if_python_is_unbuffered(format_: str) -> None:
    """Otherwise the lines of several workers on one pipe mix. Each datagram has the bytes of one write(2).

    Nothing is written for OpenSearch's client, whose errors have internal addresses.
    """
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with here, there:
        subprocess.run(
            [sys.executable, "-c", PROGRAM.format(format=format_)],
            stderr=there.fileno(),
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            check=True,
        )
        line = here.recv(65_536).decode()
    assert line.endswith("\n")
    assert "serving" in line
    if format_ == "json":
        entry = json.loads(line)
        assert (entry["event"], entry["process"], entry["port"]) == ("serving", "server", 50051)
        assert entry["worker"] == 3


def test_a_throttled_line_is_written_once_in_an_interval() -> None:
    """The first one is written."""
    times = iter([0.0, 9.9, 10.0, 19.9, 50.0])
    throttle = LogThrottle(10, lambda: next(times))
    assert [throttle.allows() for _ in range(5)] == [True, False, True, False, True]


def test_a_value_that_json_cannot_represent_does_not_lose_the_line() -> None:
    """Python decodes the name of a file with a lone surrogate if it is not UTF-8 (PEP 383)."""
    program = PROGRAM.format(format="json").replace("port=50051", r"file='\udcff', size=2**70")
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    entry = json.loads(done.stderr)
    assert (entry["file"], entry["size"]) == ("\udcff", 2**70)
