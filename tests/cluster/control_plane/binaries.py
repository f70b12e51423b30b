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
# Where two programs of KEDA listen on every interface, without a flag for it: by program, a line and its replacement.
_ON_LOOPBACK = {
    "adapter": (
        'fmt.Sprintf(":%v", metricsAPIServerPort)',
        'fmt.Sprintf("127.0.0.1:%v", metricsAPIServerPort)',
    ),
    "webhooks": ("Port:    webhooksPort,", 'Host: "127.0.0.1", Port: webhooksPort,'),
}


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
        changes = _ON_LOOPBACK if self == KEDA else {}
        made_of += f"{self._link_flags()}{changes}".encode()
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
            for program in _ON_LOOPBACK if self == KEDA else ():
                source = self._on_loopback(program, Path(place))
                self._go("build", linked, "-o", str(made / program), str(source))
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

    def _on_loopback(self, program: str, place: Path) -> Path:
        """Write a program with its address changed; a file that is named may be built from anywhere."""
        line, replacement = _ON_LOOPBACK[program]
        text = (self.source() / "cmd" / program / "main.go").read_text(encoding="utf-8")
        if text.count(line) != 1:
            raise BuildFailed(f"{self.name}: its {program} no longer says {line}")
        changed = place / f"{program}.go"
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
