"""How often Python looks for garbage that only a cycle keeps alive."""

import gc

_YOUNG = 20_000
"""New objects before the youngest are looked through. By default 700, which the work of one or two requests makes."""


def freeze_gc() -> None:
    """Call once, when all is loaded: what stands now is never looked through again, and the rest less often.

    Our own code makes no cycles for each request: nearly every look was in vain, and all cost a twentieth of the CPU.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, 20, 100)
