"""`imageservice watch`: follow requests until they end."""

import asyncio
import sys
from collections.abc import Callable, Sequence
from typing import Annotated

import typer

from cli import arguments
from cli.arguments import AddressOption, JsonOption
from cli.client.client import MAX_WATCHED_IDS, Client, connect
from cli.output.outcome import RequestView
from cli.output.report import JsonReport, Output, TextReport


def watch(
    given: Annotated[list[str], typer.Argument(metavar="ID", help="The ids that submit printed.")],
    server: AddressOption = arguments.DEFAULT_ADDRESS,
    to_json: JsonOption = False,
) -> None:
    """Follow requests until all have ended. Prints each state; exit 1 if one failed."""
    report = JsonReport(sys.stdout) if to_json else TextReport(Output())
    where = str(arguments.parse_address(server))
    ids = list(dict.fromkeys(map(arguments.parse_request_id, given)))
    if asyncio.run(_watch(where, ids, report.report)):
        raise typer.Exit(1)


async def _watch(server: str, ids: Sequence[str], report: Callable[[RequestView], None]) -> bool:
    """Return True if a request failed."""
    chunks = [ids[i : i + MAX_WATCHED_IDS] for i in range(0, len(ids), MAX_WATCHED_IDS)]
    async with connect(server) as client:
        watches = [asyncio.create_task(_watch_chunk(client, chunk, report)) for chunk in chunks]
        try:
            return any(await asyncio.gather(*watches))
        finally:
            for each in watches:
                each.cancel()
            await asyncio.gather(*watches, return_exceptions=True)


async def _watch_chunk(
    client: Client, ids: Sequence[str], report: Callable[[RequestView], None]
) -> bool:
    failed = False
    async for request in client.watch(ids):
        outcome = RequestView.with_details(request)
        report(outcome)
        failed = failed or outcome.is_error
    return failed
