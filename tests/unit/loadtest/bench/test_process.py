"""Reading the CPU time of another process."""

import subprocess
import sys

import pytest

from loadtest.bench.system.process import cpu_seconds

WORK_AND_PRINT = """
import sys, time
for _ in range(3):
    while time.process_time() % 0.01 < 0.009:
        pass
    print(time.process_time(), flush=True)
    sys.stdin.readline()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has CPU clocks of other processes")
def test_cpu_time_is_read_with_finer_resolution_than_system_ticks() -> None:
    """The reading from outside includes the time that the process itself reports."""
    command = [sys.executable, "-c", WORK_AND_PRINT]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        for _ in range(3):
            reported = float(child.stdout.readline())
            assert cpu_seconds(child.pid) >= reported
            child.stdin.write("\n")
            child.stdin.flush()
