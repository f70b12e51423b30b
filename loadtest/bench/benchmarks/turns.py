"""In which order a round gives each contestant its turns. Pure."""

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def there_and_back(contestants: Sequence[T]) -> tuple[T, ...]:
    """A, B, B, A: the turns of all have the same middle, so what drifts evenly through a round weighs on all alike."""
    return (*contestants, *reversed(contestants))
