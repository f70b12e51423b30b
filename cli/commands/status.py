"""`imageservice status` and `imageservice image`: show one request or one image."""

import asyncio
import sys
from collections.abc import Iterable
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from cli import arguments
from cli.arguments import AddressOption, JsonOption
from cli.client.client import connect
from cli.output.outcome import RequestView, escape_control, removed_names
from cli.output.renditions import rendition_facts
from cli.output.report import STYLES, Output
from cli.output.search_results import JsonResults
from cli.output.text import MIN_WIDTH, is_quoted, quote_url, safe_json, truncate
from imageservice.v1 import image_service_pb2 as pb


def status(
    given: Annotated[str, typer.Argument(metavar="ID", help="The id that submit printed.")],
    server: AddressOption = arguments.DEFAULT_ADDRESS,
    to_json: JsonOption = False,
) -> None:
    """Show the state of one request."""
    where = str(arguments.parse_address(server))
    request = asyncio.run(_read(where, arguments.parse_request_id(given)))
    outcome = RequestView.with_details(request)
    if to_json:
        sys.stdout.write(outcome.to_json() + "\n")
    else:
        _show(Output(), request, outcome)


async def _read(server: str, request_id: str) -> pb.ImageRequest:
    async with connect(server) as client:
        return await client.status(request_id)


def _show(console: Console, request: pb.ImageRequest, outcome: RequestView) -> None:
    show_facts(console, [("request", request.request_id)])
    state = Text(outcome.state or "", STYLES.get(outcome.label, ""))
    console.print(Text.assemble((_name("state"), "bold"), state))
    show_facts(console, [(name, value) for name, value in _facts(request, outcome) if value])


def show_facts(console: Console, facts: Iterable[tuple[str, str]]) -> None:
    """Print one field per line, not wrapped, so that URLs can be opened. Quoted text is truncated on a terminal."""
    for name, value in facts:
        room = max(console.width, MIN_WIDTH) - len(_name(name))
        shown = (
            truncate(value, room)
            if console.is_terminal and is_quoted(value)
            else escape_control(value)
        )
        console.print(Text.assemble((_name(name), "bold"), shown), soft_wrap=True)


def _name(fact: str) -> str:
    return f"{fact:<12}"


def _facts(request: pb.ImageRequest, outcome: RequestView) -> list[tuple[str, str]]:
    facts = [
        ("customer", request.customer_id),
        ("url", quote_url(request.url)),
        ("created", request.create_time.ToJsonString()),
        ("updated", request.update_time.ToJsonString()),
        *(("label", _label(*each)) for each in sorted(request.labels.items())),
        ("image", request.image.image_id),
        ("public url", outcome.public_url or ""),
    ]
    if outcome.failure_code:
        facts.append(("failure", f"{outcome.failure_code}: {outcome.failure_message}"))
        facts.append(("attempts", str(request.failure.attempts)))
    if outcome.metadata:
        facts.extend(_metadata_facts(request.image.metadata))
    facts.extend(rendition_facts(request.image.renditions))
    return facts


def _label(key: str, value: str) -> str:
    return f"{safe_json(key)}: {safe_json(value)}"


def _metadata_facts(metadata: pb.ImageMetadata) -> list[tuple[str, str]]:
    facts = [("format", describe_format(metadata)), ("sha256", metadata.sha256)]
    if metadata.removed:
        names = (name.lower().replace("_", " ") for name in removed_names(metadata))
        facts.append(("removed", ", ".join(names)))
    return facts


def describe_format(metadata: pb.ImageMetadata) -> str:
    parts = [f"{metadata.format} {metadata.width}x{metadata.height}", f"{metadata.bytes:,} bytes"]
    if metadata.frames > 1:
        parts.append(f"{metadata.frames} frames")
    if metadata.HasField("animation_duration"):
        parts.append(f"{metadata.animation_duration.ToMilliseconds() / 1000:.2f} s")
    return ", ".join(parts)


def image(
    given: Annotated[str, typer.Argument(metavar="ID", help="The image id that status prints.")],
    server: AddressOption = arguments.DEFAULT_ADDRESS,
    to_json: JsonOption = False,
) -> None:
    """Show one published image."""
    where = str(arguments.parse_address(server))
    found = asyncio.run(_read_image(where, arguments.parse_request_id(given, "an image id")))
    if to_json:
        JsonResults(sys.stdout).image(found)
    else:
        facts = [
            ("image", found.image_id),
            ("request", found.request_id),
            ("customer", found.customer_id),
            ("created", found.create_time.ToJsonString()),
            ("public url", found.public_url),
            *_metadata_facts(found.metadata),
            *rendition_facts(found.renditions),
        ]
        show_facts(Output(), facts)


async def _read_image(server: str, image_id: str) -> pb.Image:
    async with connect(server) as client:
        return await client.image(image_id)
