"""The event loop of an object."""

import asyncio
from functools import cached_property


class LoopBound:
    """Has the event loop in which it is used first. It may be created before the loop."""

    @cached_property
    def _loop(self) -> asyncio.AbstractEventLoop:
        # Cached, because get_running_loop makes a system call until Python 3.12: it compares process ids.
        return asyncio.get_running_loop()
