"""Restrictions that a decoder process applies to itself before it reads a body: ctypes only, no privileges needed.

A decoder that an attacker controls can use its CPU time, its memory limit and its open descriptors, and nothing else.
Linux has all protections; another system has the resource limits only.
"""

from collections.abc import Callable

from consumer.sandbox.restrictions.landlock import deny_access_to_objects
from consumer.sandbox.restrictions.limits import deny_new_descriptors, limit_resources
from consumer.sandbox.restrictions.privileges import (
    deny_access,
    deny_new_privileges,
    drop_capabilities,
)
from consumer.sandbox.restrictions.seccomp import filter_syscalls

__all__ = ["protect_from_children", "restrict"]


def protect_from_children() -> bool:
    """Make the calling process inaccessible to its decoders, which have the same user. Returns False if it cannot.

    This holds where a decoder has no seccomp and no Landlock too.
    """
    return _succeeds(deny_access)


def restrict(memory_bytes: int) -> tuple[str, ...]:
    """Restrict the calling process for ever and return the names of the protections that are active.

    memory_bytes: memory that it may allocate beyond what it has now.

    Call it when everything is imported and while the process has one thread. Later imports fail, as do `fork`, `exec`,
    new descriptors and time-outs of sockets; threads can start. Raises OSError if the resource limits cannot be set.
    """
    limit_resources(memory_bytes)
    steps: tuple[tuple[str, Callable[[], object]], ...] = (
        ("not_accessible", deny_access),
        ("no_new_privileges", deny_new_privileges),
        ("no_capabilities", drop_capabilities),
        ("landlock", deny_access_to_objects),
        ("no_new_descriptors", deny_new_descriptors),
        ("seccomp", filter_syscalls),
    )
    return ("limits", *(name for name, step in steps if _succeeds(step)))


def _succeeds(step: Callable[[], object]) -> bool:
    try:
        step()
    except OSError:
        return False
    return True
