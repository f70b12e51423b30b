"""Fixtures and options of all tests."""

import inspect
import os
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import grpc
import pytest
import pytest_asyncio
from blockbuster import BlockBuster
from hypothesis import HealthCheck, settings

from backends import jars
from cli.local.stack import TEMPLATE
from core.runtime.gc_tuning import freeze_gc
from harness import sdk_models
from harness.aws import DeployStack, RecordingAws, recording_aws
from harness.distribution import LEVEL_LIMITS_S, distribute, level_of
from harness.opensearch import opensearch
from harness.permissions import Permissions, load_template
from harness.processes import close_launcher
from harness.search_engines import Engine, open_engine, settings_for

# These calls may block the event loop. The SDK reads the model of a service from disk when a client or a waiter is
# created; a process does that once, before it serves. pytest-timeout reports a test in a signal handler.
MAY_BLOCK = (
    ("aiobotocore/session.py", "_create_client"),
    ("aiobotocore/client.py", "get_waiter"),
    ("pytest_timeout.py", "timeout_sigalrm"),
)


# The duration of an example depends on the machine, which runs several tests at a time.
settings.register_profile(
    "suite", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("suite")

ROOT = Path(__file__).parents[1]
JARS = pytest.StashKey[Path | None]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--backend",
        choices=["embedded", "real"],
        default="embedded",
        help="real: tables on Amazon's DynamoDB Local, queues on ElasticMQ, searches on OpenSearch too "
        "(needs a JDK 17; Maven fetches them once)",
    )
    parser.addoption(
        "--scaling-report",
        type=Path,
        default=ROOT / ".scaling-report",
        metavar="FOLDER",
        help="folder for the timeline of the test of scaling (.scaling-report, which git ignores)",
    )


def pytest_configure(config: pytest.Config) -> None:
    sdk_models.share()
    real = config.getoption("--backend") == "real"
    try:
        config.stash[JARS] = jars.fetch() if real else None
    except jars.BackendMissing as missing:
        raise pytest.UsageError(str(missing)) from None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the tests of search engines with SQLite, and with OpenSearch too if the backends are real."""
    if "engine" in metafunc.fixturenames:
        real = metafunc.config.getoption("--backend") == "real"
        names = ["sqlite", "opensearch"] if real else ["sqlite"]
        metafunc.parametrize("engine", names, indirect=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each test the limit of its level, and start the slow modules first."""
    for item in items:
        level = level_of(item.path)
        if level is not None and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(LEVEL_LIMITS_S[level]))
    items[:] = distribute(items, int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))


def pytest_collection_finish() -> None:
    """Collect garbage less often, as the system's processes do. It saves a tenth of the CPU of the unit tests."""
    freeze_gc()


def pytest_sessionfinish() -> None:
    close_launcher()


@pytest.fixture(scope="session", autouse=True)
def _keep_grpc_running() -> Iterator[None]:
    """Keep grpc.aio's polling thread. Without this, the last object of a test would join it on the event loop."""
    grpc.aio.init_grpc_aio()
    yield
    grpc.aio.shutdown_grpc_aio()


@pytest.fixture(autouse=True)
def _detect_blocking_calls(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail an asynchronous test if it blocks the event loop."""
    if not inspect.iscoroutinefunction(getattr(request.node, "obj", None)):
        yield
        return
    detector = BlockBuster()
    for function in detector.functions.values():
        for file, name in MAY_BLOCK:
            function.can_block_in(file, name)
    detector.activate()
    yield
    detector.deactivate()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def embedded_aws(
    tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> AsyncIterator[RecordingAws]:
    """One AWS for the test run. At the end, the template must allow every call that was made in one of its roles."""
    record = tmp_path_factory.mktemp("aws") / "calls.jsonl"
    async with recording_aws(record, jars=pytestconfig.stash[JARS]) as aws:
        yield aws
    refused = Permissions.parse(load_template(TEMPLATE)).refused(await aws.recorded())
    assert not refused, f"the roles in {TEMPLATE.name} do not allow: {refused}"


@pytest.fixture(scope="session")
def deploy_stack(embedded_aws: RecordingAws) -> DeployStack:
    """Deploys the template with a prefix of the test's choice. That takes a third of a second."""
    return embedded_aws.deploy


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def opensearch_url(
    tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> AsyncIterator[str | None]:
    """One OpenSearch for the test run; None if the backends are not real."""
    if pytestconfig.getoption("--backend") != "real":
        yield None
        return
    async with opensearch(tmp_path_factory.mktemp("opensearch")) as server:
        yield server.url


@pytest_asyncio.fixture
async def engine(
    request: pytest.FixtureRequest, opensearch_url: str | None, tmp_path: Path
) -> AsyncIterator[Engine]:
    """A search engine with an empty index for one test."""
    sqlite = f"sqlite:///{tmp_path / 'search.db'}"
    url = opensearch_url if request.param == "opensearch" else sqlite
    assert url is not None
    async with open_engine(settings_for(url, f"test-{uuid.uuid4().hex}")) as ready:
        yield ready
