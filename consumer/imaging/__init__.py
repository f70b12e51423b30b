"""Checks an image, removes its location and reads its metadata. Pure, synchronous and CPU-bound.

This package imports none of its modules: only decoder processes may import native decoders and numpy. The worker
imports `formats`, `policy` and `result`.

docs/howto/add-an-image-format.md lists the parts of a format.
"""
