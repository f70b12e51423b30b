"""`imageservice renditions`: ask for renditions of a published image."""

import asyncio
import sys
from typing import Annotated

import typer

from cli import arguments
from cli.arguments import AddressOption, JsonOption
from cli.client.client import connect
from cli.commands.status import show_facts
from cli.output.renditions import rendition_facts, renditions_as_json
from cli.output.report import Output
from cli.output.text import safe_json
from imageservice.v1 import image_service_pb2 as pb


def renditions(
    given: Annotated[str, typer.Argument(metavar="ID", help="The image id that status prints.")],
    presets: Annotated[
        list[str], typer.Argument(metavar="PRESET", help="Names of presets of the service.")
    ],
    server: AddressOption = arguments.DEFAULT_ADDRESS,
    to_json: JsonOption = False,
) -> None:
    """Ask for renditions that an image lacks. They are made later: `image` shows them."""
    where = str(arguments.parse_address(server))
    image_id = arguments.parse_request_id(given, "an image id")
    answer = asyncio.run(_create(where, image_id, presets))
    if to_json:
        reported = {
            "renditions": renditions_as_json(answer.renditions),
            "pending": list(answer.pending),
        }
        sys.stdout.write(safe_json(reported) + "\n")
    else:
        pending = [("pending", name) for name in answer.pending]
        show_facts(Output(), [*rendition_facts(answer.renditions), *pending])


async def _create(server: str, image_id: str, presets: list[str]) -> pb.CreateRenditionsResponse:
    async with connect(server) as client:
        return await client.create_renditions(image_id, presets)
