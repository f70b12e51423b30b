"""How many examples the tests of this package run. SIMULATION_EXAMPLES=5000 is a run of minutes, for each test."""

import os
from collections.abc import Callable
from typing import TypeVar

from hypothesis import HealthCheck, Phase, settings

T = TypeVar("T")

_EXAMPLES = os.environ.get("SIMULATION_EXAMPLES")


def examples(count: int) -> Callable[[T], T]:
    """Run `count` examples in the test suite. A failure prints the plan, and a blob for @reproduce_failure."""
    decorate: Callable[[T], T] = settings(
        max_examples=count if _EXAMPLES is None else int(_EXAMPLES),
        deadline=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
    return decorate
