"""How a benchmark reads what a process costs."""

import subprocess
import sys

import pytest

from loadtest.bench.system.process import cpu_seconds

WORK_AND_TELL = """
import sys, time
for _ in range(3):
    while time.process_time() % 0.01 < 0.009:
        pass
    print(time.process_time(), flush=True)
    sys.stdin.readline()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a clock of other processes")
def test_cpu_time_is_read_finer_than_the_system_ticks() -> None:
    """What a process says of itself is in what is read from outside, to the last tenth of a tick."""
    command = [sys.executable, "-c", WORK_AND_TELL]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        for _ in range(3):
            told = float(child.stdout.readline())
            assert cpu_seconds(child.pid) >= told
            child.stdin.write("\n")
            child.stdin.flush()
