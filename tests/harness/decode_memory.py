"""Measures the memory that examining an image takes, in a process of its own.

`python decode_memory.py` answers each line of its input, the path of a body, a verification and presets of renditions,
with a line: the charge and the growth of the peak, in bytes. Each body is examined in a fork, whose peak begins at its
size. The parent has imported the decoders and used the one of this format, as the fork server of the worker has.
"""

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from subprocess import PIPE, Popen
from types import MappingProxyType, TracebackType
from typing import NamedTuple, Self

from consumer.imaging.inspection import examine, inspect, probe
from consumer.imaging.policy import ImagePolicy, Verification, policy_of
from consumer.imaging.result import MadeRendition
from core.model.rendition import Presets
from harness.images import gradient_image, sample

ENVIRONMENT = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": str(8 << 20),
}
"""As the worker starts its fork server, except that freed memory is returned at once. So none is left to reuse."""


class Measurement(NamedTuple):
    """charge: of the probe. peak: growth of the address space, which RLIMIT_DATA limits. Both in bytes."""

    charge: int
    peak: int


class DecodeMemory:
    """A process that measures one body after another."""

    def __enter__(self) -> Self:
        search = os.pathsep.join(path for path in sys.path if path)
        self._process = Popen(
            [sys.executable, __file__],
            stdin=PIPE,
            stdout=PIPE,
            text=True,
            env={**os.environ, **ENVIRONMENT, "PYTHONPATH": search},
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.communicate()

    def measure(
        self,
        path: Path,
        verification: Verification = "draft",
        renditions: Presets = MappingProxyType({}),
    ) -> Measurement:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        presets = {name: asdict(preset) for name, preset in renditions.items()}
        self._process.stdin.write(f"{json.dumps([str(path), verification, presets])}\n")
        self._process.stdin.flush()
        return Measurement(*json.loads(self._process.stdout.readline()))


def _status(name: str) -> int:
    """Return a figure of this process in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    line = next(line for line in lines if line.startswith(f"{name}:"))
    return int(line.split()[1]) << 10


def _measure(path: str, policy: ImagePolicy) -> Measurement:
    before = _status("VmSize")
    body = Path(path).read_bytes()
    names = tuple(policy.presets)
    probed = probe(body, policy, names)
    for made in examine(body, policy, probed, names).renditions:
        assert isinstance(made, MadeRendition), made
    return Measurement(probed.decode_bytes, _status("VmPeak") - before)


def _small(kind: str) -> bytes:
    """Return a small image of a format. Pillow does not write HEIC."""
    return sample("cat.heic") if kind == "HEIC" else gradient_image(kind)


def main() -> None:
    for line in sys.stdin:
        path, verification, presets = json.loads(line)
        policy = policy_of({"verification": verification, "presets": presets})
        small = _small(probe(Path(path).read_bytes(), ImagePolicy()).format.name)
        inspect(small, policy, tuple(policy.presets))
        child = os.fork()
        if not child:
            sys.stdout.write(f"{json.dumps(_measure(path, policy))}\n")
            sys.stdout.flush()
            os._exit(0)
        os.waitpid(child, 0)


if __name__ == "__main__":
    main()
