"""Reads the file type box of ISO base media files: AVIF, HEIF, Canon CR3."""

_FTYP_MAX = 1024


def brands_of(body: bytes) -> tuple[bytes, set[bytes]]:
    """Read the major brand and all brands (ISO/IEC 14496-12, 4.3). Empty without a file type box."""
    if body[4:8] != b"ftyp":
        return b"", set()
    size = min(int.from_bytes(body[:4], "big"), _FTYP_MAX)
    major = body[8:12]
    return major, {major, *(body[at : at + 4] for at in range(16, size - 3, 4))}
