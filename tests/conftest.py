"""What every test may ask for."""

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
from harness.distribution import LEVEL_LIMITS_S, distributed, level_of
from harness.opensearch import opensearch
from harness.permissions import Permissions, load_template
from harness.processes import close_launcher
from harness.search_engines import Engine, opened, settings_for

# Where the loop may be blocked: the SDK reads its description of a service from disk when a client
# or a waiter is made, which a process does once, before it serves; and a test whose time is up is
# told of by a signal's handler, which would else be what is complained of.
MAY_BLOCK = (
    ("aiobotocore/session.py", "_create_client"),
    ("aiobotocore/client.py", "get_waiter"),
    ("pytest_timeout.py", "timeout_sigalrm"),
)


# How long an example takes tells of the machine, which runs four tests at a time, and not of the code.
settings.register_profile(
    "suite", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("suite")

JARS = pytest.StashKey[Path | None]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--backend",
        choices=["embedded", "real"],
        default="embedded",
        help="real: tables on Amazon's DynamoDB Local, queues on ElasticMQ, searches on OpenSearch too "
        "(needs a JDK 17; Maven fetches them once)",
    )


def pytest_configure(config: pytest.Config) -> None:
    sdk_models.share()
    real = config.getoption("--backend") == "real"
    try:
        config.stash[JARS] = jars.fetch() if real else None
    except jars.BackendMissing as missing:
        raise pytest.UsageError(str(missing)) from None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """What is asked of a search engine is asked of SQLite, and of OpenSearch where the backends are real."""
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
    items[:] = distributed(items, int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))


def pytest_collection_finish() -> None:
    """Spend less on garbage collection, as the system's processes do: a tenth of the CPU of unit tests."""
    freeze_gc()


def pytest_sessionfinish() -> None:
    close_launcher()


@pytest.fixture(scope="session", autouse=True)
def _grpc_stays_up() -> Iterator[None]:
    """Keep grpc.aio's polling thread: with its last object it would be joined on a test's event loop."""
    grpc.aio.init_grpc_aio()
    yield
    grpc.aio.shutdown_grpc_aio()


@pytest.fixture(autouse=True)
def _nothing_blocks_the_loop(request: pytest.FixtureRequest) -> Iterator[None]:
    """An asynchronous test fails when anything in it blocks the event loop."""
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
    """One AWS for the whole run; at its end, every call that a role made must be allowed by it."""
    record = tmp_path_factory.mktemp("aws") / "calls.jsonl"
    async with recording_aws(record, jars=pytestconfig.stash[JARS]) as aws:
        yield aws
    refused = Permissions.parse(load_template(TEMPLATE)).refused(await aws.recorded())
    assert not refused, f"the roles in {TEMPLATE.name} do not allow: {refused}"


@pytest.fixture(scope="session")
def deploy_stack(embedded_aws: RecordingAws) -> DeployStack:
    """Deploy the template under a prefix of one's own, which takes a third of a second."""
    return embedded_aws.deploy


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def opensearch_url(
    tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> AsyncIterator[str | None]:
    """One OpenSearch for the whole run; None where the backends are not real."""
    if pytestconfig.getoption("--backend") != "real":
        yield None
        return
    async with opensearch(tmp_path_factory.mktemp("opensearch")) as server:
        yield server.url


@pytest_asyncio.fixture
async def engine(
    request: pytest.FixtureRequest, opensearch_url: str | None, tmp_path: Path
) -> AsyncIterator[Engine]:
    """A search engine with an empty index that is the test's own."""
    sqlite = f"sqlite:///{tmp_path / 'search.db'}"
    url = opensearch_url if request.param == "opensearch" else sqlite
    assert url is not None
    async with opened(settings_for(url, f"test-{uuid.uuid4().hex}")) as ready:
        yield ready
