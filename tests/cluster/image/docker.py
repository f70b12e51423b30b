"""The docker command, aimed at one daemon."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from typing import Self

PACKAGES = "apt-get install --no-install-recommends docker.io debootstrap"
_PATIENCE_S = 600
_BUILDKIT_LEFT_THE_CLIENT = 23
"""The first version of the client that needs the plug-in buildx to build by BuildKit."""


class ToolMissing(Exception):
    """Something that is not installed; `str()` says what to install."""


class DockerFailed(Exception):
    """A docker command that ended badly, with what it said."""


@dataclass(frozen=True, slots=True)
class Docker:
    """`host` is what DOCKER_HOST means."""

    client: str
    host: str

    @classmethod
    def at(cls, host: str) -> Self:
        """Take the first client on PATH that can build by BuildKit; raise ToolMissing."""
        for folder in os.get_exec_path():
            client = shutil.which("docker", path=folder)
            if client is not None and _has_buildkit(client):
                return cls(client, host)
        raise ToolMissing(
            f"no docker on PATH that builds by BuildKit: {PACKAGES} (or docker-buildx)"
        )

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "DOCKER_HOST": self.host, "DOCKER_BUILDKIT": "1"}

    def __call__(self, *arguments: str) -> str:
        """Run a command to its end; answer its standard output, or raise DockerFailed."""
        ran = subprocess.run(
            [self.client, *arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_PATIENCE_S,
            check=False,
        )
        if ran.returncode != 0:
            raise DockerFailed(f"docker {arguments[0]}: {ran.stdout[-2_000:]}{ran.stderr[-6_000:]}")
        return ran.stdout


def _has_buildkit(client: str) -> bool:
    told = subprocess.run([client, "--version"], capture_output=True, text=True, check=False).stdout
    version = re.search(r"version (\d+)\.", told)
    if version is not None and int(version[1]) < _BUILDKIT_LEFT_THE_CLIENT:
        return True
    plugin = subprocess.run([client, "buildx", "version"], capture_output=True, check=False)
    return plugin.returncode == 0
