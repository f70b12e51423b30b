"""`imageservice watch`: follows requests to their ends."""

import asyncio
import sys
from collections.abc import Callable, Sequence
from typing import Annotated

import typer
from rich.console import Console

from cli import address
from cli.address import AddressOption
from cli.client import WATCHED_AT_ONCE, Client, connect
from cli.outcome import Outcome
from cli.report import JsonReport, LineReport


def watch(
    request_ids: Annotated[
        list[str], typer.Argument(metavar="ID…", help="What submit answered with.")
    ],
    server: AddressOption = address.DEFAULT,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Print each state of some requests as they change, until all have ended. Exit 1 when one failed."""
    report = JsonReport(sys.stdout) if as_json else LineReport(Console())
    ids = list(dict.fromkeys(request_ids))
    if asyncio.run(_watch(str(address.parse(server)), ids, report.tell)):
        raise typer.Exit(1)


async def _watch(server: str, ids: Sequence[str], tell: Callable[[Outcome], None]) -> bool:
    """Whether one failed."""
    chunks = [ids[i : i + WATCHED_AT_ONCE] for i in range(0, len(ids), WATCHED_AT_ONCE)]
    async with connect(server) as client:
        watches = [asyncio.create_task(_watch_chunk(client, chunk, tell)) for chunk in chunks]
        try:
            return any(await asyncio.gather(*watches))
        finally:
            for each in watches:
                each.cancel()
            await asyncio.gather(*watches, return_exceptions=True)


async def _watch_chunk(client: Client, ids: Sequence[str], tell: Callable[[Outcome], None]) -> bool:
    failed = False
    async for request in client.watch(ids):
        outcome = Outcome.of(request)
        tell(outcome)
        failed = failed or outcome.bad
    return failed
