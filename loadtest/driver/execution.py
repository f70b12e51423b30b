"""A run's course: to its end, to a signal, or to what breaks it off."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any

from loadtest.driver.progress_bar import ProgressBar
from loadtest.run_report.record import RunRecord

INTERRUPTED = 130

_STOPPED = "Interrupted."


async def executed(run: Coroutine[Any, Any, None], bar: ProgressBar) -> str | None:
    """Why it did not come to its end, None where it did."""
    execution = asyncio.create_task(run)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, execution.cancel)
    try:
        await execution
    except asyncio.CancelledError:
        return _STOPPED
    except Exception as error:  # noqa: BLE001  whatever ends a run, what was found until then is reported
        return f"It broke off: {type(error).__name__}: {error}"
    finally:
        bar.end()
    return None


def exit_code(record: RunRecord, failure: str | None) -> int:
    """`failure` is what `executed` answered."""
    if failure == _STOPPED:
        return INTERRUPTED
    return 0 if record.verdict.passed else 1
