"""The report of a run over corpora."""

from corpora.report import attention, changes, counts
from corpora.verdicts import Verdict

BEFORE = [
    Verdict("tiff", "a.tif", "CORRUPT_IMAGE", "cut"),
    Verdict("tiff", "b.tif", "COMPLETED", facts={"frames": 1}),
    Verdict("tiff", "gone.tif", "COMPLETED"),
]
NOW = [
    Verdict("tiff", "a.tif", "COMPLETED", facts={"frames": 1}),
    Verdict("tiff", "b.tif", "COMPLETED", facts={"frames": 2}),
    Verdict("vips", "new.png", "CRASHED", seconds=1.0),
]


def test_it_counts_outcomes_by_source() -> None:
    rows = [line.split() for line in counts(NOW)]
    assert rows == [
        ["source", "COMPLETED", "CRASHED"],
        ["tiff", "2"],
        ["vips", "1"],
        ["all", "2", "1"],
    ]


def test_it_shows_changed_outcomes_and_metadata() -> None:
    assert list(changes(BEFORE, NOW)) == [
        "1 x CORRUPT_IMAGE -> COMPLETED",
        "CORRUPT_IMAGE -> COMPLETED tiff: a.tif ",
        "frames 1 -> 2 tiff: b.tif",
    ]


def test_it_lists_crashes() -> None:
    assert list(attention(NOW)) == ["CRASHED vips: new.png (1.0 s) "]
