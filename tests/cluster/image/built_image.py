"""Build the image from its Dockerfile, and run Python in it."""

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.image.base import import_base
from cluster.image.docker import Docker
from cluster.image.pip_configuration import build_secrets

ROOT = Path(__file__).parents[3]

HARDENED = (
    *("--read-only", "--tmpfs", "/tmp:size=64m,mode=1777"),  # noqa: S108  the container's own
    *("--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
    *("--memory", "1g", "--memory-swap", "1g", "--cpus", "1", "--pids-limit", "256"),
)
"""The limits of a restricted pod: memory without swap, one CPU, and only /tmp is writable."""


@dataclass(frozen=True, slots=True)
class BuiltImage:
    docker: Docker
    tag: str
    base: str

    def configuration(self) -> dict[str, Any]:
        """Return the configuration of the image: user, entry point, labels, size in bytes."""
        return self._inspect(self.tag)

    def added_bytes(self) -> int:
        """Return the size of the image without its base, in bytes."""
        return int(self._inspect(self.tag)["Size"]) - int(self._inspect(self.base)["Size"])

    def python(self, source: str, *options: str) -> str:
        """Run a program with the Python of the image in a hardened container, and return its output."""
        network = ("--network", "none")
        container = ("run", "--rm", *network, *HARDENED, *options, "--entrypoint", "python")
        return self.docker(*container, self.tag, "-c", source)

    def _inspect(self, tag: str) -> dict[str, Any]:
        (image,) = json.loads(self.docker("image", "inspect", tag))
        return dict(image)


@contextmanager
def built_image(docker: Docker, folder: Path) -> Iterator[BuiltImage]:
    """Build the image on a Debian base. Both are removed afterwards, because the daemon may not be ours."""
    unique = uuid.uuid4().hex[:10]
    image = BuiltImage(docker, f"imageservice:{unique}", f"imageservice-base:{unique}")
    import_base(docker, image.base)
    try:
        docker(
            "build",
            *("--network", "host", "--build-arg", f"BASE={image.base}", "--tag", image.tag),
            *build_secrets(folder),
            str(ROOT),
        )
        yield image
    finally:
        docker("image", "rm", "--force", image.tag, image.base)
