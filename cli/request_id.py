"""Ids of requests and images as people give them."""

import re

from cli.errors import UsageFault

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def parse(text: str, kind: str = "a request id") -> str:
    """The id as the service writes it; raises UsageFault where it is no UUID, which the service would refuse."""
    canonical = text.lower()
    if not _UUID.fullmatch(canonical):
        raise UsageFault(
            f"{text} is not {kind}: that is a UUID, 32 hexadecimal digits in five groups"
        )
    return canonical
