"""`python -m server` with batches of one: one insert and one send a request, everything else the same.

BATCH_MAX_ITEMS=1 alone would leave the bound on calls at once, which is made for batches and would hold this back.
Patched from outside, because a switch that nobody should use in production does not belong into the server.
"""

import runpy
from functools import wraps
from typing import Any

from core.batcher import Batcher

_AS_MANY_AS_COME = 10_000


def main() -> None:
    original = Batcher.__init__

    @wraps(original)
    def unbatched(commit: Batcher[Any, Any], *arguments: Any, **options: Any) -> None:
        original(commit, *arguments, **{**options, "max_batch": 1, "max_flushes": _AS_MANY_AS_COME})

    setattr(Batcher, "__init__", unbatched)  # noqa: B010  mypy lets nobody assign to a method
    runpy.run_module("server", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
