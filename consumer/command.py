"""A command of `python -m consumer`. Each package declares its own."""

import argparse
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from core.settings import ProcessSettings

S = TypeVar("S", bound=ProcessSettings)


def _no_arguments(_parser: argparse.ArgumentParser) -> None: ...


@dataclass(frozen=True, slots=True)
class Command(Generic[S]):
    """`run` returns the exit status. `name` is also the process name in logs."""

    name: str
    help: str
    settings: type[S]
    run: Callable[[S, argparse.Namespace], Coroutine[Any, Any, int]]
    add_arguments: Callable[[argparse.ArgumentParser], None] = _no_arguments
    aliases: tuple[str, ...] = ()
