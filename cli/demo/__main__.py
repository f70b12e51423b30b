"""`python -m cli.demo`, run by `make demo`. Exit 0 only if every request ended as expected."""

import asyncio
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from cli.client.client import connect
from cli.demo import search_demo, verify
from cli.demo.environment import open_environment
from cli.demo.items import Item, items, list_images
from cli.demo.run import Result, submit_and_follow
from cli.demo.table import show
from cli.errors import CommandFailed
from cli.local.plan import require_embedded_aws
from cli.output import text
from cli.output.outcome import escape_control

IMAGES = Path(__file__).parents[2] / "tests" / "images"
TIMEOUT_S = 90.0
"""For all requests together. The slowest waits for the retry after one 503."""


async def _demonstrate(console: Console, logs: Path) -> list[str]:
    """Run the demo and return the deviations from the expected results."""
    names = await asyncio.to_thread(list_images, IMAGES)
    if not names:
        raise CommandFailed(f"no images in {IMAGES}")
    began = time.monotonic()
    with console.status("starting") as status:
        async with open_environment(IMAGES, logs, status) as (address, origin):
            status.stop()
            results = await _submit(console, address, items(origin, names))
            show(console, results)
            good = [result for result in results if result.published]
            faults = _unexpected(results) + await verify.find_mismatches(good)
            if good:
                faults += await search_demo.find_mismatches(console, status, address, good)
            status.start()
    renditions = sum(len(result.outcome.renditions or ()) for result in good)
    text.print_message(
        sys.stdout,
        f"{len(results)} requests; {len(good)} images published and fetched again, with {renditions} renditions, "
        f"{len(results) - len(good)} not published. {time.monotonic() - began:.0f} s in all.",
    )
    return faults


async def _submit(console: Console, address: str, chosen: Sequence[Item]) -> list[Result]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("downloading, checking, publishing", total=len(chosen))
        async with connect(address) as client, asyncio.timeout(TIMEOUT_S):
            return await submit_and_follow(client, chosen, lambda _: progress.advance(task))


def _unexpected(results: Sequence[Result]) -> list[str]:
    return [
        f"{result.item.name}: ended {result.ended}, expected {result.item.expected}"
        for result in results
        if not result.expected
    ]


async def _run(console: Console, logs: Path) -> list[str]:
    """Run `_demonstrate`. SIGTERM ends it like Ctrl-C, so that it cleans up."""
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        return await _demonstrate(console, logs)
    except TimeoutError:
        return [f"not every request ended within {TIMEOUT_S:g} s"]


def main() -> int:
    console, logs = Console(), Path(tempfile.mkdtemp(prefix="imageservice-demo-"))
    try:
        require_embedded_aws()
        faults = asyncio.run(_run(console, logs))
        code = 1 if faults else 0
    except CommandFailed as error:
        faults, code = [str(error)], error.exit_code
    except (KeyboardInterrupt, asyncio.CancelledError):
        faults, code = ["interrupted"], 130
    for fault in faults:
        text.print_message(sys.stderr, f"demo: {escape_control(fault)}")
    if code == 1:
        text.print_message(sys.stderr, f"demo: the output of the processes is in {logs}")
    else:
        shutil.rmtree(logs)
    if code == 0:
        console.print("every request ended as expected", style="bold green")
    return code


if __name__ == "__main__":
    sys.exit(main())
