"""The image, built as its Dockerfile says, and how to run it."""

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
"""What a restricted pod is given: memory without swap, one CPU, and nothing to write on but /tmp."""


@dataclass(frozen=True, slots=True)
class BuiltImage:
    docker: Docker
    tag: str
    base: str

    def configuration(self) -> dict[str, Any]:
        """What the image says of itself: user, entry point, labels, size in bytes."""
        return self._inspect(self.tag)

    def added_bytes(self) -> int:
        """Bytes on top of the base."""
        return int(self._inspect(self.tag)["Size"]) - int(self._inspect(self.base)["Size"])

    def python(self, source: str, *options: str) -> str:
        """What a program prints that the image's Python runs, in a container as hardened as ours."""
        network = ("--network", "none")
        container = ("run", "--rm", *network, *HARDENED, *options, "--entrypoint", "python")
        return self.docker(*container, self.tag, "-c", source)

    def _inspect(self, tag: str) -> dict[str, Any]:
        (image,) = json.loads(self.docker("image", "inspect", tag))
        return dict(image)


@contextmanager
def built_image(docker: Docker, folder: Path) -> Iterator[BuiltImage]:
    """Build it on a base of Debian; a daemon that is not ours keeps neither."""
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
