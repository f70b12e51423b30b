"""`imageservice image`: one published image."""

import asyncio
import json
import sys
from typing import Annotated

import typer
from rich.text import Text

from cli import address, request_id
from cli.address import AddressOption
from cli.client import connect
from cli.outcome import metadata_of, printable
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
        sys.stdout.write(_as_json(found) + "\n")
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
        show_facts(Output(), [(name, Text(printable(value))) for name, value in facts])


async def _read(server: str, asked: str) -> pb.Image:
    async with connect(server) as client:
        return await client.image(asked)


def _as_json(found: pb.Image) -> str:
    told = {
        "image_id": found.image_id,
        "request_id": found.request_id,
        "customer_id": found.customer_id,
        "create_time": found.create_time.ToJsonString(),
        "public_url": found.public_url,
        "metadata": metadata_of(found),
    }
    return json.dumps(told, ensure_ascii=False)
