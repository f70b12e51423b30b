"""The overlays of k8s/ with settings of a test, in a copy of the folder."""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cluster.manifests.overlays import Tree
from harness.aws import ROOT

_EXAMPLE = ".example"


@dataclass(frozen=True, slots=True)
class Overlays:
    """A copy of k8s/ in which every overlay can be built. Blocking: it reads and writes files."""

    folder: Path

    @classmethod
    def copy(cls, target: Path) -> Self:
        """Copy the folder. The example files stand in for the files that an operator generates from a stack."""
        folder = Path(shutil.copytree(ROOT / "k8s", target / "k8s")) / "overlays"
        for example in folder.glob(f"*/*{_EXAMPLE}"):
            shutil.copy(example, example.with_name(example.name.removesuffix(_EXAMPLE)))
        return cls(folder)

    def with_settings(self, overlay: str, **settings: str) -> Path:
        """Change settings in the env files of an overlay. Returns the folder of the overlay."""
        folder = self.folder / overlay
        for name, value in settings.items():
            changed = [_set(path, name, value) for path in folder.glob("*.env")]
            assert any(changed), f"no env file of {overlay} has {name}"
        return folder

    def with_search(self, overlay: str) -> None:
        """Add the search component to the overlay."""
        Tree(self.folder.parent).with_search(overlay)

    def without_image(self, overlay: str) -> None:
        """Set an image tag that does not exist. On real nodes no pod may start, because it would receive messages."""
        path = self.folder / overlay / "kustomization.yaml"
        text = path.read_text(encoding="utf-8")
        changed, count = re.subn("newTag: .*", "newTag: never-built", text)
        assert count == 1, f"{overlay} names no image's tag"
        path.write_text(changed, encoding="utf-8")


def _set(path: Path, name: str, value: str) -> bool:
    text = path.read_text(encoding="utf-8")
    changed, count = re.subn(rf"^{name}=.*$", lambda _: f"{name}={value}", text, flags=re.MULTILINE)
    path.write_text(changed, encoding="utf-8")
    return count > 0
