"""The last part of the demo: search the published images by their metadata."""

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.status import Status
from rich.table import Table
from rich.text import Text

from cli.client.client import Client, connect
from cli.demo.items import GOOD_LABELS
from cli.demo.run import CUSTOMER, Result
from cli.demo.table import NAME_WIDTH, shorten, size
from cli.output.search_results import facet_table
from core.search.similarity import distance
from imageservice.v1 import image_service_pb2 as pb

TIMEOUT_S = 30.0
"""On an idle machine an index follows within one or two seconds."""
POLL_INTERVAL_S = 0.2
FORMATS = ("PNG", "WEBP")
DISTANCE = 6
PAGE = 100
"""More than the demo publishes."""


@dataclass(frozen=True, slots=True)
class Search:
    """`words` are the arguments of `imageservice search`, `expected` the request ids."""

    words: str
    query: pb.SearchImagesRequest
    expected: frozenset[str]


def searches(published: Sequence[Result]) -> Iterator[Search]:
    """Return the searches. `published` are all images of this customer, at least one."""
    yield _by_label(published)
    yield _by_similarity(published, like=str(_metadata(published[0], "perceptual_hash")))


def _by_label(published: Sequence[Result]) -> Search:
    labels = " ".join(f"--label {key}={value}" for key, value in GOOD_LABELS.items())
    formats = " ".join(f"--format {name.lower()}" for name in FORMATS)
    return Search(
        f"--customer {CUSTOMER} {labels} {formats} --facets",
        pb.SearchImagesRequest(
            customer_id=CUSTOMER, labels=GOOD_LABELS, formats=FORMATS, facets=True, page_size=PAGE
        ),
        _ids(
            result
            for result in published
            if result.item.labels == GOOD_LABELS and _metadata(result, "format") in FORMATS
        ),
    )


def _by_similarity(published: Sequence[Result], like: str) -> Search:
    """Near-duplicates of an image, which include the image itself."""
    return Search(
        f"--customer {CUSTOMER} --similar-to {like}",
        pb.SearchImagesRequest(
            customer_id=CUSTOMER, similar_to=like, max_distance=DISTANCE, page_size=PAGE
        ),
        _ids(
            result
            for result in published
            if (hash_ := str(_metadata(result, "perceptual_hash")))
            and distance(like, hash_) <= DISTANCE
        ),
    )


def _ids(results: Iterator[Result]) -> frozenset[str]:
    return frozenset(result.outcome.request_id or "" for result in results)


def _metadata(result: Result, name: str) -> object:
    return (result.outcome.metadata or {}).get(name, "")


async def find_mismatches(
    console: Console, status: Status, address: str, published: Sequence[Result]
) -> list[str]:
    """Run the searches, print the results, and return a line for each unexpected result."""
    async with connect(address) as client:
        searchable = await _wait_until_searchable(client, status, len(published))
        status.stop()
        if searchable < len(published):
            waited = f"after {TIMEOUT_S:g} s"
            return [f"{searchable} of {len(published)} images are searchable {waited}"]
        faults = [await _search(console, client, each, published) for each in searches(published)]
    return [fault for fault in faults if fault]


async def _wait_until_searchable(client: Client, status: Status, count: int) -> int:
    """Wait until all images are searchable or the time is over. Returns the number of searchable images."""
    query = pb.SearchImagesRequest(customer_id=CUSTOMER, page_size=1)
    waiting = "waiting until all images are searchable"
    if not status.console.is_terminal:
        status.console.print(waiting)
    status.update(waiting)
    status.start()
    end = time.monotonic() + TIMEOUT_S
    while (total := (await client.search_page(query)).total) < count and time.monotonic() < end:
        status.update(f"{waiting}: {total} of {count}")
        await asyncio.sleep(POLL_INTERVAL_S)
    return total


async def _search(
    console: Console, client: Client, search: Search, published: Sequence[Result]
) -> str | None:
    """Print the results of a search. Returns the difference from the expected result, if any."""
    names = {result.outcome.request_id or "": result.item.name for result in published}
    page = await client.search_page(search.query)
    command = f"imageservice search {search.words}"
    console.print(Text.assemble("\n", ("$ ", "dim"), (command, "bold")), soft_wrap=True)
    console.print(_table(page.images, names))
    for facet in page.facets:
        if facet.values:
            console.print(facet_table(facet))
    request_ids = sorted(image.request_id for image in page.images)
    if request_ids == sorted(search.expected) and page.total == len(request_ids):
        return None
    return f"{command}: found {len(request_ids)} of {page.total}, expected {len(search.expected)}"


def _table(images: Sequence[pb.Image], names: Mapping[str, str]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold underline")
    for heading in ("image", "format", "pixels"):
        table.add_column(heading, no_wrap=True)
    table.add_column("size", no_wrap=True, justify="right")
    for image in images:
        metadata = image.metadata
        table.add_row(
            Text(shorten(names.get(image.request_id, "?"), NAME_WIDTH)),
            Text(metadata.format),
            Text(f"{metadata.width}x{metadata.height}"),
            Text(size(metadata.bytes)),
        )
    return table
