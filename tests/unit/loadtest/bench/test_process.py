"""Reading the CPU time of another process, and holding a process to one core."""

import os
import subprocess
import sys

import pytest

from loadtest.bench.system.one_core import on_core, reserved_core
from loadtest.bench.system.process import BenchSkipped, cpu_seconds

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


LET_A_GRANDCHILD_WORK = """
import os, subprocess, sys, time
WORK = "import time\\nwhile time.process_time() < 0.3: pass"
if os.fork() == 0:
    subprocess.run([sys.executable, "-c", WORK], check=True)
    print(flush=True)
    sys.stdin.readline()
    os._exit(0)
os.wait()
"""


def test_cpu_time_includes_ended_processes_below_a_living_child() -> None:
    """As decoders of a consumer, which its fork server starts and replaces."""
    command = [sys.executable, "-c", LET_A_GRANDCHILD_WORK]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdout.readline()
        # Linux counts ended processes in ticks of 10 ms, rounded down.
        assert cpu_seconds(child.pid) >= 0.25
        child.stdin.write("\n")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux holds processes to cores")
def test_a_measured_process_has_a_core_of_its_own() -> None:
    before = os.sched_getaffinity(0)
    if len(before) == 1:
        with pytest.raises(BenchSkipped, match="second core"), reserved_core():
            pass
        return
    print_cores = (sys.executable, "-c", "import os; print(os.sched_getaffinity(0))")
    with reserved_core() as core:
        assert os.sched_getaffinity(0) == before - {core}
        held = subprocess.run(on_core(core, print_cores), capture_output=True, check=True)
        rest = subprocess.run(on_core(None, print_cores), capture_output=True, check=True)
    assert held.stdout.decode().strip() == str({core})
    assert rest.stdout.decode().strip() == str(before - {core})
    assert os.sched_getaffinity(0) == before
