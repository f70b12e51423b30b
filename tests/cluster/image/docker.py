"""The docker command for one daemon."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from typing import Self

PACKAGES = "apt-get install --no-install-recommends docker.io debootstrap"
_TIMEOUT_S = 600
_FIRST_VERSION_WITHOUT_BUILDKIT = 23
"""The first client version that needs the plug-in buildx to build with BuildKit."""


class ToolMissing(Exception):
    """A tool is not installed. `str()` names the packages to install."""


class DockerFailed(Exception):
    """A docker command failed. `str()` has its output."""


@dataclass(frozen=True, slots=True)
class Docker:
    """`host` is the value of DOCKER_HOST."""

    client: str
    host: str

    @classmethod
    def at(cls, host: str) -> Self:
        """Return the first client on PATH that can build with BuildKit. Raises ToolMissing."""
        for folder in os.get_exec_path():
            client = shutil.which("docker", path=folder)
            if client is not None and _has_buildkit(client):
                return cls(client, host)
        raise ToolMissing(
            f"no docker on PATH that builds with BuildKit: {PACKAGES} (or docker-buildx)"
        )

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "DOCKER_HOST": self.host, "DOCKER_BUILDKIT": "1"}

    def __call__(self, *arguments: str) -> str:
        """Run a command and return its standard output. Raises DockerFailed."""
        ran = subprocess.run(
            [self.client, *arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
        if ran.returncode != 0:
            raise DockerFailed(f"docker {arguments[0]}: {ran.stdout[-2_000:]}{ran.stderr[-6_000:]}")
        return ran.stdout


def _has_buildkit(client: str) -> bool:
    output = subprocess.run(
        [client, "--version"], capture_output=True, text=True, check=False
    ).stdout
    version = re.search(r"version (\d+)\.", output)
    if version is not None and int(version[1]) < _FIRST_VERSION_WITHOUT_BUILDKIT:
        return True
    plugin = subprocess.run([client, "buildx", "version"], capture_output=True, check=False)
    return plugin.returncode == 0
