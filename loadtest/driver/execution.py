"""Executes a run until it ends, fails or is interrupted."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any

from loadtest.driver.progress_bar import ProgressBar
from loadtest.run_report.record import RunRecord

INTERRUPTED = 130

_INTERRUPTED_TEXT = "Interrupted."


class CannotStart(Exception):
    """The run cannot start. The message is for the user."""


class NotReady(CannotStart):
    """A process ended or was not ready in time. The message names its log."""


async def execute(run: Coroutine[Any, Any, None], bar: ProgressBar) -> str | None:
    """Run the coroutine and return why it did not finish; None if it did. SIGINT and SIGTERM cancel it."""
    execution = asyncio.create_task(run)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, execution.cancel)
    try:
        await execution
    except asyncio.CancelledError:
        return _INTERRUPTED_TEXT
    except Exception as error:  # noqa: BLE001  the report is written whatever ended the run
        return f"The run failed: {type(error).__name__}: {error}"
    finally:
        bar.end()
    return None


def exit_code(record: RunRecord, failure: str | None) -> int:
    """`failure` is the result of `execute`."""
    if failure == _INTERRUPTED_TEXT:
        return INTERRUPTED
    return 0 if record.verdict.passed else 1
