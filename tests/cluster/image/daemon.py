"""A Docker daemon of the test's own: no network of its own, nothing in the machine's firewall, all in one folder."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cluster.image.docker import PACKAGES, Docker, DockerFailed, ToolMissing

_READY_S = 60.0
_STOP_S = 60.0
_POLL_S = 0.1

# It ends when the shell's standard input does, so also after kill -9 of this process.
_ON_A_LEASH = 'dockerd "$@" & daemon=$!; read -r _; kill "$daemon"; wait "$daemon"'


@contextmanager
def docker_daemon(folder: Path) -> Iterator[Docker]:
    """The daemon that DOCKER_HOST names, or one that lives in `folder` until the block ends.

    Raises ToolMissing.
    """
    named = os.environ.get("DOCKER_HOST")
    if named:
        yield Docker.at(named)
        return
    _require_dockerd()
    docker = Docker.at(f"unix://{folder}/docker.sock")
    with (folder / "dockerd.log").open("wb") as log:
        process = subprocess.Popen(
            ["sh", "-c", _ON_A_LEASH, "dockerd", *_options(folder), "--host", docker.host],  # noqa: S607
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            # The terminal's Ctrl-C is for this process, which then ends the daemon in order.
            start_new_session=True,
        )
    try:
        _wait_until_ready(docker, folder)
        yield docker
    finally:
        _stop(process)
        _unmount_below(folder)


def _require_dockerd() -> None:
    if os.geteuid() != 0:
        raise ToolMissing("only root can start a Docker daemon; DOCKER_HOST names one that runs")
    # Debian keeps it where only root looks.
    if shutil.which("dockerd") is None:
        raise ToolMissing(f"dockerd is not installed: {PACKAGES}")


def _options(folder: Path) -> list[str]:
    return [
        *("--bridge", "none", "--iptables=false", "--ip6tables=false"),
        *("--data-root", str(folder / "data"), "--exec-root", str(folder / "exec")),
        *("--pidfile", str(folder / "dockerd.pid")),
    ]


def _wait_until_ready(docker: Docker, folder: Path) -> None:
    deadline = time.monotonic() + _READY_S
    while True:
        try:
            docker("info")
        except DockerFailed:
            if time.monotonic() > deadline:
                words = (folder / "dockerd.log").read_text(errors="replace")[-2_000:]
                raise DockerFailed(f"dockerd is not ready after {_READY_S:g} s: {words}") from None
            time.sleep(_POLL_S)
        else:
            return


def _stop(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.close()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _unmount_below(folder: Path) -> None:
    """Undo what a daemon leaves mounted: its network namespaces, and what it held when it was killed."""
    mounts = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
    points = [line.split(" ")[1] for line in mounts]
    for point in sorted((p for p in points if p.startswith(f"{folder}/")), reverse=True):
        subprocess.run(["umount", "--lazy", point], check=False)  # noqa: S607
