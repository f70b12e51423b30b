"""AVIF and HEIC whose boxes, items and units are many, or refer to the same bytes again and again."""

from harness.heic_files import box, full_box, heic, number
from harness.images import gradient_image

_TABLE = 65_535


def avif_with_times(headers: int, runs: int) -> bytes:
    """Return an AVIF with a track whose table of sample times a reader may read once for each media header."""
    entries = full_box(b"stsd", number(1, 4) + box(b"av01", b""))
    times = full_box(b"stts", number(runs, 4) + bytes(8 * runs))
    tables = full_box(b"stsz", bytes(8)) + full_box(b"stsc", bytes(4)) + times
    media = full_box(b"mdhd", bytes(20)) * headers
    media += full_box(b"hdlr", bytes(4) + b"pict" + bytes(13))
    media += box(b"minf", box(b"stbl", entries + tables))
    return gradient_image("AVIF") + box(b"moov", box(b"trak", box(b"mdia", media)))


def heic_with_items(size: int) -> bytes:
    """Return a HEIC of `size` bytes with a second metadata box, which locates millions of items without data."""
    table = full_box(b"iloc", bytes(2) + number(_TABLE) + bytes(_TABLE * 6))
    items = full_box(b"meta", table * (size // len(table)))
    return heic() + box(b"moov", items)


def heic_with_boxes(size: int) -> bytes:
    """Return a HEIC of `size` bytes with millions of empty boxes, as a list of short ones."""
    movie = box(b"moov", box(b"abcd", b"") * 90_000)
    return heic() + movie * (size // len(movie))


def heic_with_units(size: int) -> bytes:
    """Return a HEIC of `size` bytes whose coded image has millions of units without content."""
    return heic(data=bytes(size))


def heic_with_metadata(images: int, size: int) -> bytes:
    """Return a HEIC whose EXIF of `size` bytes describes many images. libheif copies it for each of them."""
    return heic(exif=b"II*\0\x08\0\0\0" + bytes(size), described=images)


def avif_with_headers(size: int) -> bytes:
    """Return an AVIF with a box that repeats the header of a TIFF block."""
    return gradient_image("AVIF") + box(b"uuid", b"II*\0\x08\0\0\0" * (size // 8))
