"""Search results: lines and a table for people, JSON lines for programs. The writers raise OutputClosed."""

from collections.abc import Sequence
from typing import Any, Protocol, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli.output.outcome import escape_control, metadata_of
from cli.output.renditions import renditions_as_json
from cli.output.report import write_line
from cli.output.text import INDENT, MIN_WIDTH, display_width, safe_json, truncate, wrap
from imageservice.v1 import image_service_pb2 as pb

_OWN_FACETS = frozenset({"format", "color"})
"""Facets with values that the service itself defines."""


class SearchResultWriter(Protocol):
    def image(self, image: pb.Image) -> None: ...

    def facets(self, total: int, facets: Sequence[pb.Facet]) -> None: ...


class TextResults:
    """One line per image, then the facets as tables."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def image(self, image: pb.Image) -> None:
        terminal = self._console.is_terminal
        # In a pipe every image stays on one line.
        line = render(image, self._console.width) if terminal else to_text(image)
        self._console.print(Text(line), soft_wrap=True)

    def facets(self, total: int, facets: Sequence[pb.Facet]) -> None:
        del total
        for facet in facets:
            if facet.values:
                self._console.print(facet_table(facet))


class JsonResults:
    """One object per image, and a last one with the facets if they were requested."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def image(self, image: pb.Image) -> None:
        write_line(self._file, safe_json(as_object(image)))

    def facets(self, total: int, facets: Sequence[pb.Facet]) -> None:
        reported = {
            facet.field: [{"value": each.value, "count": each.count} for each in facet.values]
            for facet in facets
        }
        write_line(self._file, safe_json({"total": total, "facets": reported}))


def to_text(image: pb.Image) -> str:
    """Return creation time, format, pixels, bytes, public URL and camera (if known), without control characters.

    The camera name is foreign text and may look like a URL. It therefore comes after our URL, in quotes.
    """
    return "  ".join(filter(None, [_own_columns(image), _camera(image)]))


def render(image: pb.Image, width: int) -> str:
    """Return the line for a terminal of `width` columns. The camera is truncated, so it never begins a line."""
    line, camera = to_text(image), _camera(image)
    if display_width(line) <= width:
        return line
    line = wrap(_own_columns(image), width)
    if camera:
        line += f"\n{INDENT}{truncate(camera, max(width, MIN_WIDTH) - len(INDENT))}"
    return line


def _own_columns(image: pb.Image) -> str:
    metadata = image.metadata
    pixels = f"{metadata.width}x{metadata.height}"
    columns = [
        image.create_time.ToJsonString(),
        f"{metadata.format:<4}",
        f"{pixels:>11}",
        f"{metadata.bytes:>12,} bytes",
        image.public_url,
    ]
    return escape_control("  ".join(columns))


def _camera(image: pb.Image) -> str:
    # JSON escapes a quote inside the name, so the name ends at the visible end of the string.
    return safe_json(image.metadata.camera) if image.metadata.camera else ""


def as_object(image: pb.Image) -> dict[str, Any]:
    return {
        "image_id": image.image_id,
        "request_id": image.request_id,
        "customer_id": image.customer_id,
        "create_time": image.create_time.ToJsonString(),
        "public_url": image.public_url,
        "metadata": metadata_of(image),
        "renditions": renditions_as_json(image.renditions),
    }


def facet_table(facet: pb.Facet) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column(facet.field.replace("_", " "), overflow="fold", min_width=16)
    table.add_column("images", justify="right")
    for each in facet.values:
        value = escape_control(each.value) if facet.field in _OWN_FACETS else safe_json(each.value)
        table.add_row(Text(value), f"{each.count:,}")
    return table
