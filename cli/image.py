"""`imageservice image`: one published image."""

import asyncio
import sys
from typing import Annotated

import typer

from cli import address, request_id
from cli.address import AddressOption
from cli.client import connect
from cli.found import FoundObjects
from cli.report import Output
from cli.status import picture, show_facts
from imageservice.v1 import image_service_pb2 as pb


def image(
    given: Annotated[str, typer.Argument(metavar="ID", help="The image's id, as status tells it.")],
    server: AddressOption = address.DEFAULT,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Show one published image."""
    where, asked = str(address.parse(server)), request_id.parse(given, "an image id")
    found = asyncio.run(_read(where, asked))
    if as_json:
        FoundObjects(sys.stdout).image(found)
    else:
        facts = [
            ("image", found.image_id),
            ("request", found.request_id),
            ("customer", found.customer_id),
            ("created", found.create_time.ToJsonString()),
            ("public url", found.public_url),
            ("picture", picture(found.metadata)),
            ("sha256", found.metadata.sha256),
        ]
        show_facts(Output(), facts)


async def _read(server: str, asked: str) -> pb.Image:
    async with connect(server) as client:
        return await client.image(asked)
