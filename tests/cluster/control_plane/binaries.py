"""The programs of the control plane, each built once from its Go module into the user's cache.

Every folder of tests/cluster/tools is a Go module with `tool` directives. Its go.mod and go.sum pin all dependencies.
"""

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from loadtest.tool_cache import tool_cache

TOOLS = Path(__file__).parents[1] / "tools"
_BUILD_TIMEOUT_S = 1_800
_KUBERNETES = "k8s.io/kubernetes"
# Two programs of KEDA listen on every interface and have no flag for that: per program, a line and its replacement.
_ON_LOOPBACK = {
    "adapter": (
        'fmt.Sprintf(":%v", metricsAPIServerPort)',
        'fmt.Sprintf("127.0.0.1:%v", metricsAPIServerPort)',
    ),
    "webhooks": ("Port:    webhooksPort,", 'Host: "127.0.0.1", Port: webhooksPort,'),
}


class BuildFailed(Exception):
    """A program cannot be built here. `str()` is one line with the reason."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A folder of tests/cluster/tools, and the Go module that provides version and manifests."""

    name: str
    module: str

    @property
    def folder(self) -> Path:
        return TOOLS / self.name

    def binary(self, program: str) -> Path:
        """Return the path of a program. Build it if it is not in the cache. Raises BuildFailed."""
        return self._built() / program

    def source(self) -> Path:
        """Return the read-only folder of the module, which has its manifests."""
        return Path(self._module()["Dir"])

    def version(self) -> str:
        return str(self._module()["Version"])

    def _module(self) -> dict[str, str]:
        module: dict[str, str] = json.loads(self._go("mod", "download", "-json", self.module))
        return module

    def _built(self) -> Path:
        inputs = b"".join((self.folder / name).read_bytes() for name in ("go.mod", "go.sum"))
        changes = _ON_LOOPBACK if self == KEDA else {}
        inputs += f"{self._link_flags()}{changes}".encode()
        folder = tool_cache() / "cluster" / f"{self.name}-{hashlib.sha256(inputs).hexdigest()[:12]}"
        if not folder.exists():
            print(f"building {self.name} (once; minutes when nothing is cached) …", flush=True)  # noqa: T201
            folder.parent.mkdir(parents=True, exist_ok=True)
            self._build(folder)
        return folder

    def _build(self, folder: Path) -> None:
        # Build in a temporary folder first, so that no other process sees an incomplete build.
        with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
            built = Path(temporary) / "bin"
            flags = f"-ldflags={self._link_flags()}"
            self._go("install", flags, "tool", GOBIN=str(built))
            for program in _ON_LOOPBACK if self == KEDA else ():
                source = self._on_loopback(program, Path(temporary))
                self._go("build", flags, "-o", str(built / program), str(source))
            try:
                built.rename(folder)
            except OSError:
                # A concurrent run has built the same programs.
                if not folder.exists():
                    raise

    def _link_flags(self) -> str:
        if self.module != _KUBERNETES:
            return "-s -w"
        # Without these it reports v0.0.0-master, and clients derive its features from the version.
        version = self.version()
        major, minor, _ = version.removeprefix("v").split(".")
        named = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
        return " ".join(
            ["-s -w", *(f"-X k8s.io/component-base/version.{k}={v}" for k, v in named.items())]
        )

    def _on_loopback(self, program: str, folder: Path) -> Path:
        """Write the source of a program with its address changed. Go builds a named file in any folder."""
        line, replacement = _ON_LOOPBACK[program]
        text = (self.source() / "cmd" / program / "main.go").read_text(encoding="utf-8")
        if text.count(line) != 1:
            raise BuildFailed(f"{self.name}: its {program} no longer says {line}")
        changed = folder / f"{program}.go"
        changed.write_text(text.replace(line, replacement), encoding="utf-8")
        return changed

    def _go(self, *arguments: str, **environment: str) -> str:
        go = shutil.which("go")
        if go is None:
            raise BuildFailed(f"{self.name} is built from source: go is not installed")
        try:
            ran = subprocess.run(
                [go, *arguments],
                cwd=self.folder,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_BUILD_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise BuildFailed(f"{self.name}: go is not done after {_BUILD_TIMEOUT_S} s") from None
        if ran.returncode != 0:
            raise BuildFailed(f"{self.name}: go {arguments[0]}: {ran.stderr.strip()[-2_000:]}")
        return ran.stdout


KUBERNETES = Tool("kubernetes", _KUBERNETES)
ETCD = Tool("etcd", "go.etcd.io/etcd/server/v3")
KWOK = Tool("kwok", "sigs.k8s.io/kwok")
KEDA = Tool("keda", "github.com/kedacore/keda/v2")
KUBE_STATE_METRICS = Tool("kube-state-metrics", "k8s.io/kube-state-metrics/v2")
PROMETHEUS_OPERATOR = Tool(
    "prometheus-operator", "github.com/prometheus-operator/prometheus-operator"
)
