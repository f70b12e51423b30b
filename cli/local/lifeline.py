"""The pipe that ends the children when their parent is gone."""

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def lifeline() -> Iterator[int]:
    """The reading end, for the children's leash. This process alone holds the writing end, to the end.

    Python makes the ends non-inheritable (PEP 446), so no child can hold the writing end by accident. When this
    process ends, in whatever way, the kernel closes it.
    """
    reading, writing = os.pipe()
    try:
        yield reading
    finally:
        os.close(writing)
        os.close(reading)
