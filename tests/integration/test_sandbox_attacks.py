"""A hostile decoder: each attack succeeds without protections, and each protection stops what it claims to stop."""

import json
import os
import subprocess
import sys
from functools import cache

import pytest

from consumer.sandbox.restrictions.landlock import kernel_version
from harness.attacks import ATTACKS, SECRET, SECRET_NAME
from harness.hostile_decoder import OF_PARENT, SUCCEEDED

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="macOS has resource limits only")

ROOT = 0
UNPRIVILEGED = 65_532
ANY_FILE = {"seccomp", "landlock", "no_new_descriptors"}
ANY_SOCKET = {"seccomp", "no_new_descriptors"}
OTHER_MEMORY = {"seccomp", "landlock", OF_PARENT}
STOPPED_BY: dict[str, set[str]] = {
    "connect_tcp": {*ANY_SOCKET, "landlock"},
    "connect_unix": ANY_SOCKET,
    "connect_abstract": {*ANY_SOCKET, "landlock"},
    "listen_tcp": {*ANY_SOCKET, "landlock"},
    "send_udp": ANY_SOCKET,
    "send_from_open_socket": {"seccomp"},
    "read_file": ANY_FILE,
    "read_file_as_closed_descriptor": ANY_FILE,
    "list_folder": ANY_FILE,
    "create_file": ANY_FILE,
    "create_folder": {"seccomp", "landlock"},
    "write_to_open_file": {"limits"},
    "duplicate_descriptor": ANY_SOCKET,
    "execute": {"seccomp", "landlock"},
    "fork": {"seccomp"},
    "spawn": {"seccomp", "landlock"},
    "read_environment_of_parent": {*ANY_FILE, OF_PARENT},
    "read_memory_file_of_parent": {*ANY_FILE, OF_PARENT},
    "read_memory_of_parent": OTHER_MEMORY,
    "read_memory_of_sibling": OTHER_MEMORY,
    "trace_parent": OTHER_MEMORY,
    "take_descriptor_of_parent": {*OTHER_MEMORY, "no_new_descriptors"},
    "signal_parent": {"seccomp", "landlock"},
    "signal_sibling": {"seccomp", "landlock"},
    "signal_parent_by_socket": {"seccomp"},
    "signal_parent_by_ioctl": {"seccomp"},
    "limit_parent": {"seccomp"},
    "slow_parent": {"seccomp"},
    "become_traceable": {"seccomp"},
    "raise_memory_limit": {"seccomp", "limits"},
    "raise_soft_memory_limit": {"seccomp"},
    "exceed_memory_limit": {"limits"},
    "map_shared_memory": {"seccomp"},
    "map_stack_memory": {"seccomp"},
    "protect_written_memory": {"seccomp"},
    "map_executable_memory": {"seccomp"},
    "make_memory_executable": {"seccomp"},
}
ALONE = [(attack, name) for attack, names in STOPPED_BY.items() for name in sorted(names)]
LANDLOCK_VERSIONS = {
    "connect_tcp": 4,
    "listen_tcp": 4,
    "connect_abstract": 6,
    "signal_parent": 6,
    "signal_sibling": 6,
}


@cache
def outcomes(*protections: str, user: int) -> dict[str, str]:
    """Run all attacks against processes with these protections; as `user` if the tests run as root."""
    as_user = ("--user", str(user)) if os.getuid() == 0 else ()
    program = subprocess.run(
        [sys.executable, "-m", "harness.hostile_decoder", *as_user, *protections],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), SECRET_NAME: SECRET.decode()},
        stdout=subprocess.PIPE,
        check=True,
    )
    found: dict[str, str] = json.loads(program.stdout)
    return found


def test_every_attack_is_in_the_table() -> None:
    assert STOPPED_BY.keys() == ATTACKS.keys()


@pytest.mark.parametrize("attack", ATTACKS)
def test_it_succeeds_without_protections(attack: str) -> None:
    assert outcomes(user=UNPRIVILEGED)[attack] == SUCCEEDED


@pytest.mark.parametrize(("attack", "protection"), ALONE)
def test_one_protection_alone_stops_it(attack: str, protection: str) -> None:
    needed = LANDLOCK_VERSIONS.get(attack, 1) if protection == "landlock" else 0
    if needed > kernel_version():
        pytest.skip(f"this kernel has Landlock {kernel_version()}, which does not claim to stop it")
    assert outcomes(protection, user=UNPRIVILEGED)[attack] != SUCCEEDED


@pytest.mark.parametrize("user", [ROOT, UNPRIVILEGED])
@pytest.mark.parametrize("attack", ATTACKS)
def test_all_protections_stop_it(attack: str, user: int) -> None:
    assert outcomes("all", user=user)[attack] != SUCCEEDED
