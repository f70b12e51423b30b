"""Attacks from restricted processes: `python -m harness.hostile_decoder [--user UID] [PROTECTION…]`.

This process plays the worker. It forks one process for each attack, which applies the protections to itself and then
attacks. Prints a JSON object: by attack, "succeeded" or the error or signal that stopped it.
"""

import argparse
import ctypes
import errno
import json
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

from consumer.sandbox import restrictions
from consumer.sandbox.restrictions import landlock, limits, privileges, seccomp
from harness.attacks import ATTACKS, MEMORY_LIMIT, Attack, Targets, open_targets

SUCCEEDED = "succeeded"
_BROKEN = 255
"""Exit status after an error of the attack's own code. A status from 1 to 254 is an errno."""
_PR_SET_DUMPABLE, _PR_SET_PTRACER = 4, 0x59616D61


def _landlock() -> None:
    privileges.deny_new_privileges()
    landlock.deny_access_to_objects()


def _seccomp() -> None:
    privileges.deny_new_privileges()
    seccomp.filter_syscalls()


def _limits() -> None:
    limits.limit_resources(MEMORY_LIMIT)
    privileges.drop_capabilities()  # A process of root could raise the limits.


def _all() -> None:
    active = restrictions.restrict(MEMORY_LIMIT)
    assert {"limits", "not_accessible", "seccomp"} <= set(active), active


PROTECTIONS: dict[str, Callable[[], None]] = {
    "limits": _limits,
    "no_new_descriptors": limits.deny_new_descriptors,
    "landlock": _landlock,
    "seccomp": _seccomp,
    "all": _all,
}
OF_PARENT = "not_accessible"
"""The protection that the worker applies to itself. `all` includes it."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--user", type=int)
    parser.add_argument("protections", nargs="*")
    options = parser.parse_args()
    if options.user is not None:
        become(options.user)
    if {OF_PARENT, "all"} & set(options.protections):
        assert restrictions.protect_from_children()
    apply = [PROTECTIONS[name] for name in options.protections if name != OF_PARENT]
    reading, writing = os.pipe()
    sibling = os.fork()
    if sibling == 0:
        if {OF_PARENT, "all"} & set(options.protections):
            privileges.deny_access()
        os.close(writing)
        os.read(reading, 1)  # until the worker has ended
        os._exit(0)
    with (
        tempfile.TemporaryDirectory() as folder,
        open_targets(Path(folder), os.getpid(), sibling) as targets,
    ):
        outcomes = {name: run(attack, targets, apply) for name, attack in ATTACKS.items()}
    sys.stdout.write(json.dumps(outcomes))


def become(user: int) -> None:
    """Become another user without capabilities, in the state that exec would give: accessible to its own user."""
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)
    libc = ctypes.CDLL(None)
    zeros = [ctypes.c_ulong(0)] * 3
    libc.prctl(_PR_SET_DUMPABLE, ctypes.c_ulong(1), *zeros)
    libc.prctl(_PR_SET_PTRACER, ctypes.c_ulong(2**64 - 1), *zeros)  # fails without Yama


def run(attack: Attack, targets: Targets, apply: list[Callable[[], None]]) -> str:
    """Run the attack in a process of its own; return SUCCEEDED, the name of an errno, or the name of a signal."""
    pid = os.fork()
    if pid == 0:
        status = _BROKEN
        try:
            status = _status(attack, targets, apply)
        finally:
            os._exit(status)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code == _BROKEN:
        raise AssertionError(f"{attack.__name__} is broken")
    if code < 0:
        return signal.Signals(-code).name
    return errno.errorcode[code] if code else SUCCEEDED


def _status(attack: Attack, targets: Targets, apply: list[Callable[[], None]]) -> int:
    try:
        for protection in apply:
            protection()
    except Exception:  # noqa: BLE001  any error means that the test is broken
        traceback.print_exc()
        return _BROKEN
    try:
        attack(targets)
    except OSError as stopped:
        return stopped.errno or _BROKEN
    except Exception:  # noqa: BLE001  any error means that the test is broken
        traceback.print_exc()
        return _BROKEN
    return 0


if __name__ == "__main__":
    main()
