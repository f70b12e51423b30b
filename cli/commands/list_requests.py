"""`imageservice list`: a customer's requests, newest first."""

import asyncio
import sys
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated

import typer

from cli import arguments
from cli.arguments import AddressOption, CustomerOption, JsonOption
from cli.client.client import connect
from cli.output.outcome import RequestView
from cli.output.report import JsonReport, Output, TextReport
from imageservice.v1 import image_service_pb2 as pb

MAX_PAGE_SIZE = 1_000
"""The contract's limit."""


class StateName(StrEnum):
    PENDING = "pending"
    COMPLETED = "completed"
    FAILED = "failed"


def listing(
    customer: CustomerOption = arguments.DEFAULT_CUSTOMER,
    *,
    state: Annotated[StateName | None, typer.Option(help="Only requests in this state.")] = None,
    after: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="Only requests created at this time (ISO 8601, UTC) or later."
        ),
    ] = None,
    before: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only requests created before this time.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="At most N requests; all by default.")
    ] = None,
    to_json: JsonOption = False,
    server: AddressOption = arguments.DEFAULT_ADDRESS,
) -> None:
    """List a customer's requests, newest first; failed requests by time of failure."""
    arguments.require_customer(customer)
    query = pb.ListRequestsRequest(
        customer_id=customer,
        created_after=arguments.parse_time("--after", after),
        created_before=arguments.parse_time("--before", before),
        page_size=min(limit or MAX_PAGE_SIZE, MAX_PAGE_SIZE),
    )
    if state is not None:
        query.state = pb.State.Value(f"STATE_{state.name}")
    report = JsonReport(sys.stdout) if to_json else TextReport(Output())
    asyncio.run(_list(str(arguments.parse_address(server)), query, limit, report.report))


async def _list(
    server: str,
    query: pb.ListRequestsRequest,
    limit: int | None,
    report: Callable[[RequestView], None],
) -> None:
    reported = 0
    async with connect(server) as client:
        async for request in client.requests(query):
            report(RequestView.with_details(request))
            reported += 1
            if reported == limit:
                return
