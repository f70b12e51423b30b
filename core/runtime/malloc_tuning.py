"""Tuning of the C library's allocator."""

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""Parameters of mallopt(3) in glibc."""
_BLOCK_BYTES = 1 << 20
_TRIM_BYTES = 8 << 20
"""Free memory at the end of the heap that is kept. The default, 128 KB, would return and fetch it for each image."""


def return_large_blocks() -> None:
    """Return blocks of 1 MiB or more to the system when they are freed. Call it once, at the start of a process.

    By default glibc raises this threshold to the size of the largest block that was freed, up to 32 MiB. Then bodies
    lie in the heap and fragment it: the heap of a worker with a body budget of 80 MiB grew to 300 MiB. Does nothing
    with another C library.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _BLOCK_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _TRIM_BYTES)
