"""Fixtures: one daemon and one build for all tests of the image."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from cluster.image.built_image import BuiltImage, built_image
from cluster.image.contained_system import ContainedSystem, contained_system
from cluster.image.daemon import docker_daemon
from cluster.image.docker import Docker
from cluster.image.figures import Figures
from harness.aws import RecordingAws

FIGURES = pytest.StashKey[Figures]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[FIGURES] = Figures()


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    for line in config.stash[FIGURES].lines():
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def docker() -> Iterator[Docker]:
    # Not tmp_path: pytest would keep the folder, which has a size of gigabytes.
    with (
        tempfile.TemporaryDirectory(prefix="imageservice-docker-") as folder,
        docker_daemon(Path(folder)) as running,
    ):
        yield running


@pytest.fixture(scope="session")
def image(docker: Docker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BuiltImage]:
    with built_image(docker, tmp_path_factory.mktemp("image")) as built:
        yield built


@pytest_asyncio.fixture
async def contained(
    image: BuiltImage, embedded_aws: RecordingAws
) -> AsyncIterator[ContainedSystem]:
    async with contained_system(image, embedded_aws) as running:
        yield running


@pytest.fixture(scope="session")
def figures(pytestconfig: pytest.Config) -> Figures:
    """Measurements that are printed at the end of the run."""
    return pytestconfig.stash[FIGURES]
