"""What a picture looks like, in 64 bits and in one colour, computed from a small copy of it."""

from typing import cast

from PIL import Image

_SMALL_SIDE = 64
_HASH_WIDTH, _HASH_HEIGHT = 9, 8
_COLORS = 16
_WIDE_MODES = frozenset({"I", "F", "I;16", "I;16L", "I;16B", "I;16N"})
_INDEXED_MODES = frozenset({"P", "PA", "1"})
_TRANSPOSED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def small_copy(image: Image.Image, orientation: int = 1) -> Image.Image:
    """A loaded picture as RGB on white, as displayed, its shorter side 64 to 127 pixels or less."""
    factor = max(1, min(image.size) // _SMALL_SIDE)
    if image.mode in _INDEXED_MODES or image.mode in _WIDE_MODES:
        # Indices cannot be averaged, and Pillow does not reduce every wide mode.
        size = (max(1, image.width // factor), max(1, image.height // factor))
        small = image.resize(size, Image.Resampling.NEAREST)
    else:
        small = image.reduce(factor)
    small = _rgb(small)
    method = _TRANSPOSED.get(orientation)
    return small.transpose(method) if method is not None else small


def _rgb(small: Image.Image) -> Image.Image:
    if small.mode in _WIDE_MODES:
        small = _stretched(small)
    elif small.mode == "LAB":
        small = small.getchannel(0)
    if not small.has_transparency_data:
        return small.convert("RGB")
    white = Image.new("RGBA", small.size, "white")
    return Image.alpha_composite(white, small.convert("RGBA")).convert("RGB")


def _stretched(small: Image.Image) -> Image.Image:
    """Modes without a fixed range are spread from their darkest to their lightest value."""
    numbers = small.convert("F")
    low, high = cast("tuple[float, float]", numbers.getextrema())
    scale = 255 / (high - low) if high > low else 0.0
    return numbers.point(lambda value: value * scale - low * scale).convert("L")


def difference_hash(small: Image.Image) -> str:
    """The dHash as 16 hexadecimal digits; similar pictures differ in few bits.

    A bit is set for each pixel of an 8 x 8 grid that is darker than the one to its right.
    """
    gray = small.convert("L").resize((_HASH_WIDTH, _HASH_HEIGHT), Image.Resampling.BOX)
    values = gray.tobytes()
    bits = 0
    for row in range(_HASH_HEIGHT):
        for at in range(row * _HASH_WIDTH, row * _HASH_WIDTH + _HASH_WIDTH - 1):
            bits = bits << 1 | (values[at] < values[at + 1])
    return f"{bits:016x}"


def dominant_color(small: Image.Image) -> str:
    """The most frequent of at most 16 colours, as #rrggbb."""
    # A median cut takes four times as long, more than decoding a draft.
    reduced = small.quantize(_COLORS, Image.Quantize.FASTOCTREE)
    histogram = reduced.histogram()
    index = histogram.index(max(histogram))
    palette = reduced.getpalette() or []
    red, green, blue = palette[index * 3 : index * 3 + 3]
    return f"#{red:02x}{green:02x}{blue:02x}"
