"""The allocator returns large blocks, measured in a process of its own."""

import platform
import subprocess
import sys

import pytest

from core.runtime.malloc_tuning import return_large_blocks

_PROGRAM = """
from pathlib import Path
from core.runtime.malloc_tuning import return_large_blocks
{call}
first = bytes(20 << 20)
del first  # By default, glibc takes blocks of this size from the heap from now on.
second = bytes(20 << 20)
lines = Path("/proc/self/maps").read_text().splitlines()
heap = next(line.split()[0].split("-") for line in lines if line.endswith("[heap]"))
print(int(heap[1], 16) - int(heap[0], 16))
"""


def _heap_bytes(call: str) -> int:
    run = subprocess.run(
        [sys.executable, "-c", _PROGRAM.format(call=call)],
        capture_output=True,
        text=True,
        check=True,
    )
    return int(run.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no mallopt")
def test_a_large_block_is_not_taken_from_the_heap() -> None:
    assert _heap_bytes("return_large_blocks()") < 20 << 20 < _heap_bytes("pass")


def test_other_c_libraries_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctypes.CDLL", lambda _name: object())
    return_large_blocks()
