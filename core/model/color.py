"""Names for colours, few enough for a list to choose from. Pure."""

import colorsys
from enum import StrEnum


class Color(StrEnum):
    """The eleven basic colour terms of English (Berlin and Kay, 1969), and cyan. The contract has the same names."""

    BLACK = "BLACK"
    WHITE = "WHITE"
    GRAY = "GRAY"
    RED = "RED"
    ORANGE = "ORANGE"
    BROWN = "BROWN"
    YELLOW = "YELLOW"
    GREEN = "GREEN"
    CYAN = "CYAN"
    BLUE = "BLUE"
    PURPLE = "PURPLE"
    PINK = "PINK"


_DARK = 0.15
"""HSV value; below it, every hue looks black."""
_PALE = 0.12
"""HSV saturation; below it, there is no hue."""
_BRIGHT = 0.85
"""HSV value; above it, no hue is white and red may be pink."""
_BROWN_BELOW = 0.65
"""HSV value; brown is dark orange."""
_PINK_BELOW = 0.55
"""HSV saturation; below it, a bright red is pink."""

_HUES = (
    (15, Color.RED),
    (45, Color.ORANGE),
    (70, Color.YELLOW),
    (165, Color.GREEN),
    (200, Color.CYAN),
    (260, Color.BLUE),
    (300, Color.PURPLE),
    (340, Color.PINK),
    (360, Color.RED),
)
"""The end of each hue, in degrees."""


def color_of(hexadecimal: str) -> Color | None:
    """Return the name of `#rrggbb`. None for any other text, also an empty one."""
    try:
        red, green, blue = (byte / 255 for byte in bytes.fromhex(hexadecimal.removeprefix("#")))
    except ValueError:
        return None
    hue, saturation, value = colorsys.rgb_to_hsv(red, green, blue)
    if value < _DARK:
        return Color.BLACK
    if saturation < _PALE:
        return Color.WHITE if value > _BRIGHT else Color.GRAY
    named = next(color for end, color in _HUES if hue * 360 <= end)
    if named is Color.ORANGE and value < _BROWN_BELOW:
        return Color.BROWN
    if named is Color.RED and value > _BRIGHT and saturation < _PINK_BELOW:
        return Color.PINK
    return named
