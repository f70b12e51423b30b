"""`imageservice search`: a customer's images, by what was read from them."""

import asyncio
import re
import sys
from typing import Annotated

import typer

from cli import address, customer_id, moment, prose, request_id
from cli import search_options as options
from cli.address import AddressOption
from cli.client import Client, connect
from cli.customer_id import CustomerOption
from cli.errors import CommandFailed, UsageFault
from cli.found import FoundLines, FoundObjects, FoundReport
from cli.labels import parse as parse_labels
from cli.report import Output
from imageservice.v1 import image_service_pb2 as pb

LARGEST_PAGE = 100
"""The contract's limit."""
DEFAULT_LIMIT = 20

_HASH = re.compile(r"[0-9A-Fa-f]{16}")


def search(
    words: options.Words = None,
    customer: CustomerOption = customer_id.DEFAULT,
    *,
    formats: options.Formats = None,
    colors: options.Colors = None,
    cameras: options.Cameras = None,
    origin_hosts: options.OriginHosts = None,
    labels: options.Labels = None,
    min_width: options.MinWidth = None,
    max_width: options.MaxWidth = None,
    min_height: options.MinHeight = None,
    max_height: options.MaxHeight = None,
    min_bytes: options.MinBytes = None,
    max_bytes: options.MaxBytes = None,
    after: options.After = None,
    before: options.Before = None,
    similar_to: options.SimilarTo = None,
    max_distance: options.MaxDistance = None,
    facets: options.Facets = False,
    limit: options.Limit = DEFAULT_LIMIT,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    server: AddressOption = address.DEFAULT,
) -> None:
    """Find a customer's images, newest first; near-duplicates nearest first."""
    customer_id.require(customer)
    asked = pb.SearchImagesRequest(
        customer_id=customer,
        text=" ".join(words or []),
        formats=[name.upper() for name in formats or []],
        colors=[_color(name) for name in colors or []],
        cameras=cameras,
        origin_hosts=origin_hosts,
        labels=parse_labels(labels or []),
        width=_range(min_width, max_width),
        height=_range(min_height, max_height),
        bytes=_range(min_bytes, max_bytes),
        created_after=moment.parse("--after", after),
        created_before=moment.parse("--before", before),
        max_distance=max_distance,
        facets=facets,
        page_size=min(limit, LARGEST_PAGE),
    )
    similar_image = _similar_to(asked, similar_to)
    report = FoundObjects(sys.stdout) if as_json else FoundLines(Output())
    where = str(address.parse(server))
    total = asyncio.run(_search(where, asked, similar_image, limit, report))
    prose.say(sys.stderr, _summary(total, limit))


async def _search(
    server: str,
    asked: pb.SearchImagesRequest,
    similar_image: str | None,
    limit: int,
    report: FoundReport,
) -> int:
    """How many there are; `limit` of them are told at most."""
    first: pb.SearchImagesResponse | None = None
    told = 0
    async with connect(server) as client:
        if similar_image is not None:
            asked.similar_to = await _hash_of(client, similar_image)
        async for page in client.search(asked):
            first = first or page
            for image in page.images[: limit - told]:
                report.image(image)
                told += 1
            if told == limit:
                break
    total = first.total if first else 0
    if first and asked.facets:
        report.facets(total, first.facets)
    return total


async def _hash_of(client: Client, image_id: str) -> str:
    image = await client.image(image_id)
    if not image.metadata.perceptual_hash:
        raise CommandFailed(f"image {image_id} has no perceptual hash: only its header was read")
    return image.metadata.perceptual_hash


def _similar_to(asked: pb.SearchImagesRequest, given: str | None) -> str | None:
    """Put a hash into `asked`, or answer the id of the image whose hash it is."""
    if given is None:
        return None
    if _HASH.fullmatch(given):
        asked.similar_to = given
        return None
    return request_id.parse(given, "a hash of 16 hexadecimal digits, nor an image id")


def _color(name: str) -> "pb.Color.ValueType":
    names = [known.removeprefix("COLOR_") for known in pb.Color.keys()[1:]]
    if name.upper() not in names:
        known = ", ".join(each.lower() for each in names)
        raise UsageFault(f"--color {name}: not one of {known}")
    return pb.Color.Value(f"COLOR_{name.upper()}")


def _range(least: int | None, most: int | None) -> pb.IntRange:
    return pb.IntRange(min=least, max=most)


def _summary(total: int, limit: int) -> str:
    more = f", {limit:,} of them shown: --limit shows more" if total > limit else ""
    return f"{total:,} found{more}"
