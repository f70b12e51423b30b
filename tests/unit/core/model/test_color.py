"""Names of colours."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.model.color import Color, color_of


@pytest.mark.parametrize(
    ("hexadecimal", "name"),
    [
        ("#000000", "BLACK"),
        ("#0a0a20", "BLACK"),
        ("#260000", "BLACK"),
        ("#ffffff", "WHITE"),
        ("#f8f4f0", "WHITE"),
        ("#808080", "GRAY"),
        ("#d0d0d0", "GRAY"),
        ("#404448", "GRAY"),
        ("#ff0000", "RED"),
        ("#b01020", "RED"),
        ("#ff0040", "RED"),
        ("#600000", "RED"),
        ("#ff8000", "ORANGE"),
        ("#ffa500", "ORANGE"),
        ("#8b4513", "BROWN"),
        ("#5a3a1a", "BROWN"),
        ("#ffff00", "YELLOW"),
        ("#f0e040", "YELLOW"),
        ("#00ff00", "GREEN"),
        ("#228b22", "GREEN"),
        ("#6b8e23", "GREEN"),
        ("#00ffff", "CYAN"),
        ("#20b2c0", "CYAN"),
        ("#0000ff", "BLUE"),
        ("#4169e1", "BLUE"),
        ("#800080", "PURPLE"),
        ("#8a2be2", "PURPLE"),
        ("#ff69b4", "PINK"),
        ("#ffb6c1", "PINK"),
        ("#ff1493", "PINK"),
    ],
)
def test_a_colour_has_its_usual_name(hexadecimal: str, name: str) -> None:
    """Dark orange is brown, and light red is pink."""
    assert color_of(hexadecimal) == name


@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_every_colour_has_a_name(levels: tuple[int, int, int]) -> None:
    """Also at the border of two hues. Upper-case digits make no difference."""
    hexadecimal = "#{:02x}{:02x}{:02x}".format(*levels)
    assert color_of(hexadecimal) in set(Color)
    assert color_of(hexadecimal.upper()) is color_of(hexadecimal)


@given(st.integers(0, 255))
def test_a_gray_level_is_black_gray_or_white(level: int) -> None:
    """It has no hue."""
    name = color_of(f"#{level:02x}{level:02x}{level:02x}")
    assert name in (Color.BLACK, Color.GRAY, Color.WHITE)


@pytest.mark.parametrize("text", ["", "#", "#12", "#12345678", "#gg0000", "red"])
def test_other_text_has_no_name(text: str) -> None:
    """An image whose header alone was checked has no colour."""
    assert color_of(text) is None
