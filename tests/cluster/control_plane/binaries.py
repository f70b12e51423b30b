"""The control plane's programs, each built once from its Go module into the user's cache.

Every folder of tests/cluster/tools is a module with `tool` directives, whose go.mod and go.sum pin all that goes in.
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
_BUILD_SECONDS = 1_800
_KUBERNETES = "k8s.io/kubernetes"
# KEDA's adapter offers its own metrics on every interface and has no flag for the address.
_ADAPTER_LISTENS = 'fmt.Sprintf(":%v", metricsAPIServerPort)'
_ADAPTER_ON_LOOPBACK = 'fmt.Sprintf("127.0.0.1:%v", metricsAPIServerPort)'


class BuildFailed(Exception):
    """A program cannot be had here; `str()` is one line that says why."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A folder of tests/cluster/tools, and the module whose version and files matter."""

    name: str
    module: str

    @property
    def folder(self) -> Path:
        return TOOLS / self.name

    def binary(self, program: str) -> Path:
        """Return the path of a program, after building what is not in the cache; raise BuildFailed."""
        return self._built() / program

    def source(self) -> Path:
        """Return the module's own folder, which holds its manifests; it is read-only."""
        return Path(self._module()["Dir"])

    def version(self) -> str:
        return str(self._module()["Version"])

    def _module(self) -> dict[str, str]:
        found: dict[str, str] = json.loads(self._go("mod", "download", "-json", self.module))
        return found

    def _built(self) -> Path:
        made_of = b"".join((self.folder / name).read_bytes() for name in ("go.mod", "go.sum"))
        made_of += f"{self._link_flags()}{_ADAPTER_ON_LOOPBACK}".encode()
        folder = (
            tool_cache() / "cluster" / f"{self.name}-{hashlib.sha256(made_of).hexdigest()[:12]}"
        )
        if not folder.exists():
            print(f"building {self.name} (once; minutes when nothing is cached) …", flush=True)  # noqa: T201
            folder.parent.mkdir(parents=True, exist_ok=True)
            self._build(folder)
        return folder

    def _build(self, folder: Path) -> None:
        # Into a place of its own first, so that nobody sees half of it.
        with tempfile.TemporaryDirectory(dir=folder.parent) as place:
            made = Path(place) / "bin"
            linked = f"-ldflags={self._link_flags()}"
            self._go("install", linked, "tool", GOBIN=str(made))
            if self == KEDA:
                self._go(
                    "build", linked, "-o", str(made / "adapter"), str(self._adapter(Path(place)))
                )
            try:
                made.rename(folder)
            except OSError:
                # Another run was faster, and its programs are the same.
                if not folder.exists():
                    raise

    def _link_flags(self) -> str:
        if self.module != _KUBERNETES:
            return "-s -w"
        # Without these it calls itself v0.0.0-master, by which clients would judge what it can do.
        version = self.version()
        major, minor, _ = version.removeprefix("v").split(".")
        named = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
        return " ".join(
            ["-s -w", *(f"-X k8s.io/component-base/version.{k}={v}" for k, v in named.items())]
        )

    def _adapter(self, place: Path) -> Path:
        """Write KEDA's adapter with its address changed; a file that is named may be built from anywhere."""
        text = (self.source() / "cmd" / "adapter" / "main.go").read_text(encoding="utf-8")
        if text.count(_ADAPTER_LISTENS) != 1:
            raise BuildFailed(f"{self.name}: its adapter no longer says {_ADAPTER_LISTENS}")
        changed = place / "main.go"
        changed.write_text(text.replace(_ADAPTER_LISTENS, _ADAPTER_ON_LOOPBACK), encoding="utf-8")
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
                timeout=_BUILD_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise BuildFailed(f"{self.name}: go is not done after {_BUILD_SECONDS} s") from None
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
