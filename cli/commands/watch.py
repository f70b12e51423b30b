"""`imageservice watch`: follows requests to their ends."""

import asyncio
import sys
from collections.abc import Callable, Sequence
from typing import Annotated

import typer

from cli import arguments
from cli.arguments import AddressOption
from cli.client.client import WATCHED_AT_ONCE, Client, connect
from cli.output.outcome import Outcome
from cli.output.report import JsonReport, LineReport, Output


def watch(
    given: Annotated[list[str], typer.Argument(metavar="ID", help="The ids that submit printed.")],
    server: AddressOption = arguments.DEFAULT_ADDRESS,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Follow requests until all have ended. Prints each state; exit 1 when one failed."""
    report = JsonReport(sys.stdout) if as_json else LineReport(Output())
    where, ids = (
        str(arguments.parse_address(server)),
        list(dict.fromkeys(map(arguments.parse_request_id, given))),
    )
    if asyncio.run(_watch(where, ids, report.tell)):
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
        outcome = Outcome.with_record(request)
        tell(outcome)
        failed = failed or outcome.bad
    return failed
