"""Check the required tools before the first test."""

import pytest

from harness.opensearch import opensearch_jars
from harness.redis_server import redis_program


@pytest.fixture(scope="session", autouse=True)
def _tools_are_installed() -> None:
    redis_program()
    opensearch_jars()
