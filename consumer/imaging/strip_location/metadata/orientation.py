"""The smallest EXIF block: the orientation alone (EXIF 3.0, 4.6.5)."""

from consumer.imaging.exif import ORIENTATION

_UPRIGHT = 1


def orientation_block(orientation: int) -> bytes:
    """Return a block without its prefix."""
    entry = ORIENTATION.to_bytes(2, "big") + b"\0\3\0\0\0\1" + orientation.to_bytes(2, "big")
    return b"MM\0*\0\0\0\x08\0\1" + entry + bytes(6)


def needed_block(orientation: int) -> bytes:
    """Return the block, or nothing for an upright image."""
    return b"" if orientation == _UPRIGHT else orientation_block(orientation)
