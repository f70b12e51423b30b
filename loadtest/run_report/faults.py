"""What a proof found wrong, by kind: sentences that begin with an id."""

from collections.abc import Iterator, Mapping, Sequence

SHOWN = 20
"""Ids that a report shows of each kind; the file beside it lists all."""


def sentences(faults: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """One of each kind, for the verdict."""
    for kind, found in faults.items():
        more = f" … and {len(found) - SHOWN:,} more" if len(found) > SHOWN else ""
        yield f"{len(found):,} {kind}: {'; '.join(found[:SHOWN])}{more}."


def lines(faults: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """All of them, for the file."""
    return (f"{kind}: {one}\n" for kind, found in faults.items() for one in found)
