"""The overlays of k8s/ as kubectl builds them: lists of objects, without a cluster."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from loadtest.tool_cache import tool_cache

ROOT = Path(__file__).parents[3]
SOURCE = ROOT / "k8s"
NAMES = ("local", "staging", "eks")
SEARCH = "components/search"
WITH_SEARCH = {name: f"{name} with search" for name in ("local", "eks")}
"""Overlays in which somebody took the comment sign off search; staging says the same as eks."""
ENGINES = {
    "local": "SEARCH_URL=http://host.docker.internal:9200\nSEARCH_SIGNED=false",
    "eks": "SEARCH_URL=https://search-example.eu-central-1.es.amazonaws.com\nSEARCH_SIGNED=true",
}
"""What stack.env then says: on AWS by itself, where the stack has a domain."""
NO_ENGINE = "SEARCH_URL=\nSEARCH_SIGNED=false"
EXAMPLES = ("stack.env", "secret.env")
_SECONDS = 60

Object = dict[str, Any]


class BuildRefused(Exception):
    """Kubectl cannot build a folder; `str()` is what it says."""


class KubectlMissing(Exception):
    """There is no kubectl on this machine; `str()` says how to get one."""


@dataclass(frozen=True, slots=True)
class Tree:
    """A copy of k8s/ that may be changed, with the examples in place of what is written from a deployed stack."""

    folder: Path

    @classmethod
    def copied_to(cls, folder: Path) -> "Tree":
        """Copy into `folder`, which must not exist yet. What git ignores stays where it is."""
        given = [f"overlays/{name}/{file}" for name in ("staging", "eks") for file in EXAMPLES]
        shutil.copytree(SOURCE, folder, ignore=_all_but_examples)
        for path in given:
            shutil.copy(folder / f"{path}.example", folder / path)
        return cls(folder)

    def build(self, overlay: str) -> list[Object]:
        """Return the overlay's objects; raise BuildRefused."""
        ran = subprocess.run(
            [find_kubectl(), "kustomize", str(self.folder / "overlays" / overlay)],
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        if ran.returncode != 0:
            raise BuildRefused(f"{overlay}: {ran.stderr.strip()}")
        return [each for each in yaml.safe_load_all(ran.stdout) if each]

    def with_search(self, overlay: str) -> None:
        """Do as the overlay says: take the comment sign off its component for search."""
        line = f"- ../../{SEARCH}\n"
        self.change(f"overlays/{overlay}/kustomization.yaml", f"  # {line}", f"  {line}")

    def with_engine(self, overlay: str) -> None:
        """The same, with a stack that names an engine."""
        self.with_search(overlay)
        self.change(f"overlays/{overlay}/stack.env", NO_ENGINE, ENGINES[overlay])

    def change(self, path: str, old: str, new: str) -> None:
        """Replace a text that must be in a file, so that a test which changes nothing is seen."""
        file = self.folder / path
        text = file.read_text(encoding="utf-8")
        assert old in text, f"{path} no longer says {old!r}"
        file.write_text(text.replace(old, new), encoding="utf-8")


def _all_but_examples(_folder: str, names: list[str]) -> set[str]:
    """Leave out a real stack's settings, which are somebody's own."""
    return {name for name in names if f"{name}.example" in names}


def find_kubectl() -> str:
    """Return the path of the machine's own kubectl, or of the one that the control plane's tests have built."""
    if (on_path := shutil.which("kubectl")) is not None:
        return on_path
    built = sorted((tool_cache() / "cluster").glob("kubernetes-*/kubectl"))
    if not built:
        raise KubectlMissing(
            "kubectl is needed, 1.31 or newer: install it, or run `make verify-cluster`, which builds one"
        )
    return str(built[-1])
