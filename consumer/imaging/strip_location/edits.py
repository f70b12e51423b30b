"""The result of every stripper. Shared by all formats."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from consumer.imaging.result import EDITS_MAX, Edit, apply_edits
from core.errors import LocationNotRemovable

_BLOCK = 1_024


@dataclass(frozen=True, slots=True)
class StripResult:
    """The edits that remove the location from a body, and the body that they give.

    edits: in order, without overlaps, each before `end`. What follows `end` is cut off.
    exif: the block from which the image's facts are read, or empty.
    body: the result. If nothing changes, the same object as before.
    other_metadata: whether metadata other than a location is removed.
    """

    edits: tuple[Edit, ...]
    end: int
    had_location: bool
    exif: bytes = field(repr=False)
    body: bytes = field(repr=False)
    other_metadata: bool = False


def strip_result(
    body: bytes,
    edits: Iterable[Edit],
    end: int,
    *,
    had_location: bool,
    exif: bytes = b"",
    other_metadata: bool = False,
) -> StripResult:
    """Apply the edits, in any order, to `body`. Edits that touch become one.

    Raises ValueError for edits that overlap, and LocationNotRemovable for more than EDITS_MAX.
    """
    ordered = _merged(sorted(edits))
    if len(ordered) > EDITS_MAX:
        raise LocationNotRemovable(f"in more than {EDITS_MAX:,} places")
    return StripResult(
        ordered, end, had_location, exif, apply_edits(body, ordered, end), other_metadata
    )


def _merged(edits: Iterable[Edit]) -> tuple[Edit, ...]:
    runs: list[list[Edit]] = []
    for edit in edits:
        if runs and runs[-1][-1][1] == edit[0]:
            runs[-1].append(edit)
        else:
            runs.append([edit])
    return tuple((run[0][0], run[-1][1], b"".join(new for _, _, new in run)) for run in runs)


def differences(before: bytes, after: bytes) -> list[Edit]:
    """Return the edits that turn `before` into `after`, which has the same length, in blocks of a kilobyte."""
    edits: list[Edit] = []
    if before == after:
        return edits
    for at in range(0, len(before), _BLOCK):
        block = after[at : at + _BLOCK]
        if before[at : at + _BLOCK] != block:
            edits.append((at, at + len(block), block))
    return edits


def check_pixels(
    body: bytes, edits: Sequence[Edit], coded_pixels: Iterable[tuple[int, int]]
) -> None:
    """Raise LocationNotRemovable if one of the edits, which are those of `differences`, changes pixels.

    coded_pixels: start and stop of each part. They may overlap.
    """
    starts = [start for start, _, _ in edits]
    for start, stop in coded_pixels:
        # A part that covers a whole edit is changed, so each part is compared with few edits.
        for index in range(max(bisect_right(starts, start) - 1, 0), len(edits)):
            edit_start, edit_stop, replacement = edits[index]
            if edit_start >= stop:
                break
            low, high = max(start, edit_start), max(min(stop, edit_stop), start)
            if body[low:high] != replacement[low - edit_start : high - edit_start]:
                raise LocationNotRemovable("it is among the pixels")
