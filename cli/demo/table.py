"""The table of results. It fits a terminal of 80 columns or more. URLs are complete, so that they can be opened."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli.demo.run import Result
from cli.output.report import STYLES

SHORT_ID = 8
WHOLE_ID = 36
NAME_WIDTH = 18
FIXED_WIDTH = 52
"""The width of all columns except ids and URLs or failures, with the gaps."""


def shorten(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def size(count: int) -> str:
    """Return a number of bytes for people: 812 B, 71.9 kB."""
    return f"{count} B" if count < 1_000 else f"{count / 1_000:.1f} kB"  # noqa: PLR2004  kilo


def show(console: Console, results: Sequence[Result]) -> None:
    """Print the table with public URLs if each fits into its line; otherwise they follow, one per line."""
    longest = max((len(_ending(result)) for result in results), default=0)
    room = console.width - FIXED_WIDTH - longest
    console.print(
        _table(results, WHOLE_ID if room >= WHOLE_ID else SHORT_ID, urls=room >= SHORT_ID)
    )
    if room >= SHORT_ID:
        return
    for result in results:
        if url := result.outcome.public_url:
            name = shorten(result.item.name, NAME_WIDTH)
            # Only the terminal may break the line, so that the URL can be copied.
            console.print(Text(f"{name:{NAME_WIDTH}}  {url}"), soft_wrap=True)


def _table(results: Sequence[Result], id_width: int, *, urls: bool) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold underline")
    for heading in ("request", "image", "state"):
        table.add_column(heading, no_wrap=True)
    table.add_column("public URL / failure" if urls else "failure", no_wrap=True)
    for heading in ("size", "time"):
        table.add_column(heading, no_wrap=True, justify="right")
    for result in results:
        table.add_row(*_row(result, id_width, urls=urls))
    return table


def _row(result: Result, id_width: int, *, urls: bool) -> tuple[Text, ...]:
    outcome = result.outcome
    metadata = outcome.metadata
    return (
        Text((outcome.request_id or "")[:id_width], "dim"),
        Text(shorten(result.item.name, NAME_WIDTH)),
        Text(outcome.label, STYLES.get(outcome.label, "") if result.expected else "bold red"),
        Text(_ending(result) if urls or not result.outcome.public_url else ""),
        Text(size(metadata["bytes"]) if metadata else ""),
        Text(f"{result.seconds:.2f} s"),
    )


def _ending(result: Result) -> str:
    return result.outcome.public_url or result.ended
