"""The overlays, built once, and copies of them to plant faults in."""

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path

import pytest

from cluster.manifests.overlays import NAMES, WITH_SEARCH, Object, Tree


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, list[Object]]:
    tree = Tree.copied_to(tmp_path_factory.mktemp("manifests") / "k8s")
    objects = {name: tree.build(name) for name in NAMES}
    for name, title in WITH_SEARCH.items():
        tree.with_engine(name)
        objects[title] = tree.build(name)
    return objects


@pytest.fixture(params=[*NAMES, *WITH_SEARCH.values()])
def objects(request: pytest.FixtureRequest, built: Mapping[str, list[Object]]) -> list[Object]:
    """Each overlay in turn."""
    return built[request.param]


@pytest.fixture
def eks(built: Mapping[str, list[Object]]) -> list[Object]:
    """A copy of the overlay for EKS, to be changed at will."""
    return deepcopy(built["eks"])


@pytest.fixture
def searching(built: Mapping[str, list[Object]]) -> list[Object]:
    """The same with search."""
    return deepcopy(built[WITH_SEARCH["eks"]])


@pytest.fixture
def local(built: Mapping[str, list[Object]]) -> list[Object]:
    return deepcopy(built["local"])


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """A copy of k8s/, to be changed at will."""
    return Tree.copied_to(tmp_path / "k8s")
