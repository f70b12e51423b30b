"""What a search has found: lines and a table for people, lines of JSON for programs. Raises OutputClosed."""

import json
from collections.abc import Sequence
from typing import Any, Protocol, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli.errors import OutputClosed
from cli.outcome import metadata_of, printable
from cli.prose import folded
from imageservice.v1 import image_service_pb2 as pb


class FoundReport(Protocol):
    def image(self, image: pb.Image) -> None: ...

    def facets(self, total: int, facets: Sequence[pb.Facet]) -> None: ...


class FoundLines:
    """A line an image, then the facets beside each other."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def image(self, image: pb.Image) -> None:
        line = as_text(image)
        if self._console.is_terminal:
            line = folded(line, self._console.width)
        # In a pipe a line stays a line.
        self._console.print(Text(line), soft_wrap=True)

    def facets(self, total: int, facets: Sequence[pb.Facet]) -> None:
        del total
        for facet in facets:
            if facet.values:
                self._console.print(facet_table(facet))


class FoundObjects:
    """An object an image, and a last one with the facets where they are asked for."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def image(self, image: pb.Image) -> None:
        self._write(as_object(image))

    def facets(self, total: int, facets: Sequence[pb.Facet]) -> None:
        told = {
            facet.field: [{"value": each.value, "count": each.count} for each in facet.values]
            for facet in facets
        }
        self._write({"total": total, "facets": told})

    def _write(self, told: dict[str, Any]) -> None:
        try:
            self._file.write(json.dumps(told, ensure_ascii=False) + "\n")
            self._file.flush()
        except BrokenPipeError:
            raise OutputClosed from None


def as_text(image: pb.Image) -> str:
    """When it was recorded, format, pixels, bytes, camera if one is known, public URL; no control characters."""
    metadata = image.metadata
    pixels = f"{metadata.width}x{metadata.height}"
    columns = [
        image.create_time.ToJsonString(),
        f"{metadata.format:<4}",
        f"{pixels:>11}",
        f"{metadata.bytes:>12,} bytes",
        metadata.camera or "-",
        image.public_url,
    ]
    return printable("  ".join(columns))


def as_object(image: pb.Image) -> dict[str, Any]:
    return {
        "image_id": image.image_id,
        "request_id": image.request_id,
        "customer_id": image.customer_id,
        "create_time": image.create_time.ToJsonString(),
        "public_url": image.public_url,
        "metadata": metadata_of(image),
    }


def facet_table(facet: pb.Facet) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column(facet.field.replace("_", " "), overflow="fold", min_width=16)
    table.add_column("images", justify="right")
    for each in facet.values:
        table.add_row(Text(printable(each.value)), f"{each.count:,}")
    return table
