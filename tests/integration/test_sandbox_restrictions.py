"""A restricted process can do its work, and cannot do anything else."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from consumer.sandbox.restrictions import landlock, libc, privileges, seccomp
from harness.restricted_work import WORK

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="macOS has resource limits only")

ALLOCATORS = {
    "default": {},
    "one arena": {"MALLOC_ARENA_MAX": "1"},
    "trims and maps": {"MALLOC_TRIM_THRESHOLD_": "1000", "MALLOC_MMAP_THRESHOLD_": "65536"},
    "decoders": {"MALLOC_MMAP_THRESHOLD_": "8388608"},
}
ACTIVE = {"limits", "not_accessible", "no_new_privileges", "no_capabilities", "no_new_descriptors"}
LANDLOCK = 444


def run(
    work: str, *unavailable: int, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run one work of harness.restricted_work; `unavailable` are system calls that its kernel seems to lack."""
    return subprocess.run(
        [sys.executable, "-m", "harness.restricted_work", work, *map(str, unavailable)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("allocator", ALLOCATORS)
@pytest.mark.parametrize("work", ["inspect_images", "encode_images", "start_threads"])
def test_it_decodes_and_encodes(work: str, allocator: str) -> None:
    finished = run(work, environment=ALLOCATORS[allocator])
    assert (finished.returncode, finished.stderr) == (0, "")


@pytest.mark.parametrize("work", ["use_open_sockets", "read_own_limit"])
def test_it_uses_what_it_has(work: str) -> None:
    finished = run(work)
    assert (finished.returncode, finished.stderr) == (0, "")


def test_its_death_is_visible() -> None:
    finished = run("abort", environment={"PYTHONFAULTHANDLER": "1"})
    assert finished.returncode == -signal.SIGABRT
    assert "restricted_work.py" in finished.stderr


def test_its_traceback_is_visible() -> None:
    finished = run("fail")
    assert finished.returncode == 1
    assert "RuntimeError: the work failed" in finished.stderr


def test_every_other_system_call_fails() -> None:
    finished = run("call_everything_else")
    assert (finished.returncode, finished.stderr) == (0, "")


@pytest.mark.skipif(libc.MACHINE != "x86_64", reason="x32 is a convention of x86-64")
def test_a_call_in_another_convention_ends_it() -> None:
    assert run("call_in_another_convention").returncode == -signal.SIGSYS


@pytest.mark.parametrize("missing", ["landlock", "seccomp"])
def test_a_missing_protection_is_told_and_the_others_hold(missing: str) -> None:
    numbers = {"landlock": LANDLOCK, "seccomp": seccomp.SECCOMP_NUMBER[libc.MACHINE or ""]}
    finished = run("inspect_images", numbers[missing])
    assert finished.returncode == 0, finished.stderr
    active = set(finished.stdout.split())
    assert active == ACTIVE | numbers.keys() - {missing}


@pytest.mark.parametrize("version", range(1, landlock.kernel_version() + 1))
def test_each_version_of_landlock_denies_files(version: int, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    pid = os.fork()
    if pid == 0:
        try:
            privileges.deny_new_privileges()
            landlock.deny_access_to_objects(version)
            file.read_bytes()
        except PermissionError:
            os._exit(1)
        finally:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1


def test_each_work_is_tested() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    assert all(f'"{work}"' in text for work in WORK)
