"""What these tests need beside Python is said before the first of them."""

import pytest

from harness.opensearch import opensearch_jars
from harness.redis_server import redis_program


@pytest.fixture(scope="session", autouse=True)
def _tools_are_installed() -> None:
    redis_program()
    opensearch_jars()
