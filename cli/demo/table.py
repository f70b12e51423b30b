"""The table at the demonstration's end; fits 80 columns."""

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from cli.demo.run import Result
from cli.report import STYLES

ID_WIDTH = 8
NAME_WIDTH = 18
FIXED_WIDTH = 60
"""All columns but the one for URLs and failures, with the gaps."""

SHORTEST_RESULT = 20
"""Holds every failure's code that the demonstration leads to."""


def shorten(text: str, width: int) -> str:
    """The end of `text`: of a URL, the part that tells pictures apart."""
    return text if len(text) <= width else "…" + text[1 - width :]


def size(count: int) -> str:
    """Bytes for people: 812 B, 71.9 kB."""
    return f"{count} B" if count < 1_000 else f"{count / 1_000:.1f} kB"  # noqa: PLR2004  kilo


def table(results: Sequence[Result], width: int) -> Table:
    """For a terminal of `width` columns."""
    room = max(SHORTEST_RESULT, width - FIXED_WIDTH)
    shown = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold underline")
    for heading in ("request", "picture", "state", "public URL / failure"):
        shown.add_column(heading, no_wrap=True)
    for heading in ("size", "time"):
        shown.add_column(heading, no_wrap=True, justify="right")
    for result in results:
        shown.add_row(*_row(result, room))
    return shown


def _row(result: Result, room: int) -> tuple[Text, ...]:
    outcome = result.outcome
    state = outcome.state or "REFUSED"
    metadata = outcome.metadata
    return (
        Text((outcome.request_id or "")[:ID_WIDTH], "dim"),
        Text(shorten(result.item.name, NAME_WIDTH)),
        Text(state, STYLES.get(outcome.state, "") if result.expected else "bold red"),
        _ending(result, room),
        Text(size(metadata["bytes"]) if metadata else ""),
        Text(f"{result.seconds:.2f} s"),
    )


def _ending(result: Result, room: int) -> Text:
    url = result.outcome.public_url
    if url is not None:
        return Text(shorten(url, room), f"link {url}")
    return Text(shorten(result.ended, room))
