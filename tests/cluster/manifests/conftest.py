"""Fixtures: the overlays, built once, and copies of them in which tests plant faults."""

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
    """Return the objects of each overlay."""
    return built[request.param]


@pytest.fixture
def eks(built: Mapping[str, list[Object]]) -> list[Object]:
    """Return a copy of the EKS overlay that a test may change."""
    return deepcopy(built["eks"])


@pytest.fixture
def searching(built: Mapping[str, list[Object]]) -> list[Object]:
    """Return a copy of the EKS overlay with search."""
    return deepcopy(built[WITH_SEARCH["eks"]])


@pytest.fixture
def local(built: Mapping[str, list[Object]]) -> list[Object]:
    return deepcopy(built["local"])


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """Return a copy of k8s/ that a test may change."""
    return Tree.copied_to(tmp_path / "k8s")
