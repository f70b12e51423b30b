"""`imageservice search`: search a customer's images by their metadata."""

import asyncio
import re
import sys
from typing import Annotated

import typer

from cli import arguments
from cli.arguments import AddressOption, CustomerOption, JsonOption, parse_labels
from cli.client.client import Client, connect
from cli.errors import CommandFailed, UsageError
from cli.output import text
from cli.output.report import Output
from cli.output.search_results import JsonResults, SearchResultWriter, TextResults
from imageservice.v1 import image_service_pb2 as pb

Words = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="WORDS",
        help="Words of the camera name, the labels or the origin host; WOR* matches every word that begins with WOR.",
    ),
]
Formats = Annotated[
    list[str] | None,
    typer.Option("--format", metavar="NAME", help="For example jpeg. Repeatable: any of them."),
]
Colors = Annotated[
    list[str] | None,
    typer.Option("--color", metavar="NAME", help="For example red. Repeatable: any of them."),
]
Cameras = Annotated[
    list[str] | None,
    typer.Option(
        "--camera", metavar="NAME", help="The exact camera name. Repeatable: any of them."
    ),
]
OriginHosts = Annotated[
    list[str] | None,
    typer.Option(
        "--origin-host",
        metavar="HOST",
        help="The host of the submitted URL. Repeatable: any of them.",
    ),
]
Labels = Annotated[
    list[str] | None, typer.Option("--label", metavar="KEY=VALUE", help="Repeatable: all of them.")
]
Pixels = Annotated[int | None, typer.Option(min=0, metavar="PIXELS")]
Bytes = Annotated[int | None, typer.Option(min=0, metavar="BYTES")]
After = Annotated[
    str | None,
    typer.Option(
        metavar="TIME", help="Only images recorded at this time (ISO 8601, UTC) or later."
    ),
]
Before = Annotated[
    str | None, typer.Option(metavar="TIME", help="Only images recorded before this time.")
]
SimilarTo = Annotated[
    str | None,
    typer.Option(
        metavar="HASH|ID", help="Only near-duplicates of this perceptual hash, or of this image."
    ),
]
MaxDistance = Annotated[
    int | None,
    typer.Option(
        metavar="BITS",
        help="The largest distance of near-duplicates, 0 to 11 of 64 bits; 6 by default.",
    ),
]
Facets = Annotated[
    bool, typer.Option("--facets", help="Count all matches by format, color, camera and host.")
]
Limit = Annotated[int, typer.Option(min=1, metavar="N", help="Show at most N images.")]


MAX_PAGE_SIZE = 100
"""The contract's limit."""
DEFAULT_LIMIT = 20

_HASH = re.compile(r"[0-9A-Fa-f]{16}")


def search(
    words: Words = None,
    customer: CustomerOption = arguments.DEFAULT_CUSTOMER,
    *,
    formats: Formats = None,
    colors: Colors = None,
    cameras: Cameras = None,
    origin_hosts: OriginHosts = None,
    labels: Labels = None,
    min_width: Pixels = None,
    max_width: Pixels = None,
    min_height: Pixels = None,
    max_height: Pixels = None,
    min_bytes: Bytes = None,
    max_bytes: Bytes = None,
    after: After = None,
    before: Before = None,
    similar_to: SimilarTo = None,
    max_distance: MaxDistance = None,
    facets: Facets = False,
    limit: Limit = DEFAULT_LIMIT,
    to_json: JsonOption = False,
    server: AddressOption = arguments.DEFAULT_ADDRESS,
) -> None:
    """Search a customer's images, newest first; near-duplicates nearest first."""
    arguments.require_customer(customer)
    query = pb.SearchImagesRequest(
        customer_id=customer,
        text=" ".join(words or []),
        formats=[name.upper() for name in formats or []],
        colors=[_color(name) for name in colors or []],
        cameras=cameras,
        origin_hosts=origin_hosts,
        labels=parse_labels(labels or []),
        width=pb.IntRange(min=min_width, max=max_width),
        height=pb.IntRange(min=min_height, max=max_height),
        bytes=pb.IntRange(min=min_bytes, max=max_bytes),
        created_after=arguments.parse_time("--after", after),
        created_before=arguments.parse_time("--before", before),
        max_distance=max_distance,
        facets=facets,
        page_size=min(limit, MAX_PAGE_SIZE),
    )
    where = str(arguments.parse_address(server))
    similar_image = _similar_to(query, similar_to)
    report = JsonResults(sys.stdout) if to_json else TextResults(Output())
    total = asyncio.run(_search(where, query, similar_image, limit, report))
    text.print_message(sys.stderr, _summary(total, limit))


async def _search(
    server: str,
    query: pb.SearchImagesRequest,
    similar_image: str | None,
    limit: int,
    report: SearchResultWriter,
) -> int:
    """Report at most `limit` images and return the total."""
    first: pb.SearchImagesResponse | None = None
    reported = 0
    async with connect(server) as client:
        if similar_image is not None:
            query.similar_to = await _hash_of(client, similar_image)
        async for page in client.search(query):
            first = first or page
            for image in page.images[: limit - reported]:
                report.image(image)
                reported += 1
            if reported == limit:
                break
    total = first.total if first else 0
    if first and query.facets:
        report.facets(total, first.facets)
    return total


async def _hash_of(client: Client, image_id: str) -> str:
    image = await client.image(image_id)
    if not image.metadata.perceptual_hash:
        raise CommandFailed(f"image {image_id} has no perceptual hash: only its header was read")
    return image.metadata.perceptual_hash


def _similar_to(query: pb.SearchImagesRequest, given: str | None) -> str | None:
    """Set the hash in `query`, or return the id of the image whose hash must be looked up."""
    if given is None:
        return None
    if _HASH.fullmatch(given):
        query.similar_to = given
        return None
    return arguments.parse_request_id(given, "a hash of 16 hexadecimal digits, nor an image id")


def _color(name: str) -> "pb.Color.ValueType":
    names = [known.removeprefix("COLOR_") for known in pb.Color.keys()[1:]]
    if name.upper() not in names:
        known = ", ".join(each.lower() for each in names)
        raise UsageError(f"--color {name}: not one of {known}")
    return pb.Color.Value(f"COLOR_{name.upper()}")


def _summary(total: int, limit: int) -> str:
    more = f", {limit:,} of them shown: --limit shows more" if total > limit else ""
    return f"{total:,} found{more}"
