"""A Docker daemon per test run: without a bridge network, without firewall rules, with all its data in one folder."""

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

# The shell stops the daemon when its standard input is closed, so also after kill -9 of this process.
_STOP_WITH_PARENT = 'dockerd "$@" & daemon=$!; read -r _; kill "$daemon"; wait "$daemon"'


@contextmanager
def docker_daemon(folder: Path) -> Iterator[Docker]:
    """Yield the daemon in DOCKER_HOST, or run a daemon with its data in `folder` while the block runs.

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
            ["sh", "-c", _STOP_WITH_PARENT, "dockerd", *_options(folder), "--host", docker.host],  # noqa: S607
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            # Ctrl-C in the terminal reaches only this process, which then stops the daemon gracefully.
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
        raise ToolMissing(
            "only root can start a Docker daemon; set DOCKER_HOST to use a running one"
        )
    # dockerd is in a folder that is only on root's PATH.
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
                tail = (folder / "dockerd.log").read_text(errors="replace")[-2_000:]
                raise DockerFailed(f"dockerd is not ready after {_READY_S:g} s: {tail}") from None
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
    """Unmount the network namespaces of a daemon, and the layers that it had mounted when it was killed."""
    mounts = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
    points = [line.split(" ")[1] for line in mounts]
    for point in sorted((p for p in points if p.startswith(f"{folder}/")), reverse=True):
        subprocess.run(["umount", "--lazy", point], check=False)  # noqa: S607
