import pytest

from consumer.imaging.inspection import inspect
from consumer.imaging.policy import ImagePolicy
from consumer.imaging.result import apply_edits
from consumer.imaging.strip_location.edits import strip_result
from core.errors import LocationNotRemovable
from harness.images import jpeg_segment, jpeg_with, xmp_packet


def test_edits_in_any_order_give_the_body_and_an_ordered_list() -> None:
    """The list that is passed on has the order in which it can be applied."""
    stripped = strip_result(b"abcdef", [(4, 5, b"X"), (1, 3, b"")], 5, had_location=True)
    assert stripped.edits == ((1, 3, b""), (4, 5, b"X"))
    assert stripped.body == apply_edits(b"abcdef", stripped.edits, stripped.end) == b"adX"


def test_without_edits_the_body_is_the_same_object() -> None:
    """Callers compare by identity, so that nothing is hashed twice."""
    body = b"abcdef"
    assert strip_result(body, (), len(body), had_location=False).body is body
    assert strip_result(body, (), 3, had_location=False).body == b"abc"


@pytest.mark.parametrize(
    "edits", [((0, 3, b""), (2, 4, b"")), ((3, 2, b""),), ((2, 6, b""),), ((-1, 2, b""),)]
)
def test_edits_that_overlap_or_reach_beyond_the_end_are_refused(
    edits: tuple[tuple[int, int, bytes], ...],
) -> None:
    """Such a list has no single meaning."""
    with pytest.raises(ValueError, match="overlap"):
        apply_edits(b"abcdef", edits, 5)


def test_edits_that_touch_become_one() -> None:
    """A file of many small segments needs few edits."""
    stripped = strip_result(
        b"abcdef", [(1, 2, b"X"), (2, 3, b""), (3, 4, b"Y")], 6, had_location=True
    )
    assert stripped.edits == ((1, 4, b"XY"),)
    assert stripped.body == b"aXYef"


def test_a_location_in_very_many_places_is_not_removable() -> None:
    """The list of edits has a limit, as the answer of a decoder process has."""
    body = jpeg_with(*[jpeg_segment(0xFE, xmp_packet()), jpeg_segment(0xFE, b"A comment")] * 10_001)
    with pytest.raises(LocationNotRemovable, match="10,000 places"):
        inspect(body, ImagePolicy())
