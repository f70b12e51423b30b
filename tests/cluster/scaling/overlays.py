"""The overlays of k8s/ with settings of a test's own, in a copy of the folder."""

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
    """A copy of k8s/, in which every overlay can be built. Blocking: files are read and written."""

    folder: Path

    @classmethod
    def copy(cls, place: Path) -> Self:
        """Copy the folder; what an operator would have from a stack is as in the examples."""
        folder = Path(shutil.copytree(ROOT / "k8s", place / "k8s")) / "overlays"
        for example in folder.glob(f"*/*{_EXAMPLE}"):
            shutil.copy(example, example.with_name(example.name.removesuffix(_EXAMPLE)))
        return cls(folder)

    def with_settings(self, overlay: str, **settings: str) -> Path:
        """Set what the overlay's env files have by these names; return the overlay's folder."""
        folder = self.folder / overlay
        for name, value in settings.items():
            changed = [_set(path, name, value) for path in folder.glob("*.env")]
            assert any(changed), f"no env file of {overlay} has {name}"
        return folder

    def with_search(self, overlay: str) -> None:
        """Let the overlay have its component for search."""
        Tree(self.folder.parent).with_search(overlay)

    def without_image(self, overlay: str) -> None:
        """Let pods be made that never start: where nodes are real, nobody but the test may take messages."""
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
