"""The overlays of k8s/ as kubectl builds them without a cluster: lists of objects."""

import shutil
import subprocess
from collections.abc import Sequence
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
"""Overlays in which the component for search is uncommented. staging is the same as eks."""
ENGINES = {
    "local": "SEARCH_URL=http://host.docker.internal:9200\nSEARCH_SIGNED=false",
    "eks": "SEARCH_URL=https://search-example.eu-central-1.es.amazonaws.com\nSEARCH_SIGNED=true",
}
"""The lines of stack.env then. On AWS the stack with a domain writes them."""
NO_ENGINE = "SEARCH_URL=\nSEARCH_SIGNED=false"
EXAMPLES = ("stack.env", "secret.env")
_SECONDS = 60

Object = dict[str, Any]

REMOVED = object()
"""A value of `plant` that removes the key."""


class BuildRefused(Exception):
    """kubectl cannot build a folder; `str()` is its error."""


class KubectlMissing(Exception):
    """kubectl is not installed; `str()` says how to get it."""


@dataclass(frozen=True, slots=True)
class Tree:
    """A copy of k8s/ that a test may change, with the example files in place of those of a deployed stack."""

    folder: Path

    @classmethod
    def copied_to(cls, folder: Path) -> "Tree":
        """Copy into `folder`, which must not exist yet. Files that git ignores are not copied."""
        given = [f"overlays/{name}/{file}" for name in ("staging", "eks") for file in EXAMPLES]
        shutil.copytree(SOURCE, folder, ignore=_all_but_examples)
        for path in given:
            shutil.copy(folder / f"{path}.example", folder / path)
        return cls(folder)

    def build(self, overlay: str) -> list[Object]:
        """Return the objects of an overlay. Raises BuildRefused."""
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
        """Uncomment the component for search in an overlay."""
        line = f"- ../../{SEARCH}\n"
        self.change(f"overlays/{overlay}/kustomization.yaml", f"  # {line}", f"  {line}")

    def with_engine(self, overlay: str) -> None:
        """Do the same with a stack that has a search engine."""
        self.with_search(overlay)
        self.change(f"overlays/{overlay}/stack.env", NO_ENGINE, ENGINES[overlay])

    def change(self, path: str, old: str, new: str) -> None:
        """Replace a text in a file. Fails if the file does not contain it, because the test would change nothing."""
        file = self.folder / path
        text = file.read_text(encoding="utf-8")
        assert old in text, f"{path} no longer says {old!r}"
        file.write_text(text.replace(old, new), encoding="utf-8")


def _all_but_examples(_folder: str, names: list[str]) -> set[str]:
    """Ignore the settings of a real stack."""
    return {name for name in names if f"{name}.example" in names}


def find_kubectl() -> str:
    """Return the path of the installed kubectl, or of the one that the control plane tests built."""
    if (on_path := shutil.which("kubectl")) is not None:
        return on_path
    built = sorted((tool_cache() / "cluster").glob("kubernetes-*/kubectl"))
    if not built:
        raise KubectlMissing(
            "kubectl is needed, 1.31 or newer: install it, or run `make verify-cluster`, which builds one"
        )
    return str(built[-1])


def find(objects: Sequence[Object], title: str) -> Object:
    """Return the object whose kind/name starts with `title`, because generated names end in a hash."""
    kind, _, name = title.partition("/")
    found = [
        each
        for each in objects
        if each["kind"] == kind and each["metadata"]["name"].startswith(name)
    ]
    assert found, f"no {title}"
    return found[0]


def plant(objects: Sequence[Object], title: str, path: str, value: Any) -> None:
    """Set the value at a dotted path, or remove it. A number is an index, and | stands for a dot."""
    place: Any = find(objects, title)
    *way, last = path.split(".")
    for step in way:
        place = place[int(step)] if isinstance(place, list) else place[step.replace("|", ".")]
    key: Any = int(last) if isinstance(place, list) else last.replace("|", ".")
    if value is REMOVED:
        del place[key]
    else:
        place[key] = value
