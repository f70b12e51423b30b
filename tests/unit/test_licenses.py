"""licenses/README.md names each library that the wheels of the container image contain."""

import re
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement

LICENSES = Path(__file__).parents[2] / "licenses"
ROW = re.compile(r"^\| (\S+) (\S+) \| (\S+) .*\|$", re.MULTILINE)
LIBRARY = re.compile(r"(lib\w+?)(?:-[0-9a-f]{8})*\.so")


def image_packages() -> list[Distribution]:
    """Return our distribution and all that it requires, with the extra of the container image."""
    waiting, found = [Requirement("imageservice-app[heic]")], dict[str, Distribution]()
    for requirement in waiting:
        if str(requirement) in found:
            continue
        package = found[str(requirement)] = distribution(requirement.name)
        for each in map(Requirement, package.requires or ()):
            extras = requirement.extras or {""}
            if each.marker is None or any(each.marker.evaluate({"extra": name}) for name in extras):
                waiting.append(each)
    return list(found.values())


def bundled_libraries() -> Iterator[tuple[str, str, str]]:
    """Yield name and version of each package, and each shared library in its folder `*.libs`."""
    for package in image_packages():
        for file in package.files or ():
            if file.parts[0].endswith(".libs"):
                library = LIBRARY.match(file.name)
                assert library, file
                name = package.metadata["Name"].replace("_", "-").lower()
                yield name, package.version, library[1]


def test_every_bundled_library_has_a_row() -> None:
    """With the version of its package. A wheel of another platform may have fewer libraries."""
    rows = ROW.findall((LICENSES / "README.md").read_text(encoding="utf-8"))
    assert set(bundled_libraries()) <= set(rows)


def test_the_license_texts_are_there() -> None:
    """Those that no wheel contains."""
    linked = re.findall(r"\]\((\S+\.txt)\)", (LICENSES / "README.md").read_text(encoding="utf-8"))
    assert set(linked) == {path.name for path in LICENSES.glob("*.txt")}
