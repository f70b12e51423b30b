"""The header X-Robots-Tag, by which an origin opts out of uses of a resource. Pure.

Grammar: Google Search Central, "Robots meta tag specifications": directives separated by commas, each field optionally
for one agent, as in `examplebot: noindex, noimageindex`. noai and noimageai: DeviantArt's extension.
"""

import re
from collections.abc import Collection, Iterable

DIRECTIVES = ("noai", "noimageai", "noindex", "noimageindex")
"""The directives that can be respected."""

_VALUED = frozenset({"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"})
"""Directives with a value after a colon, which are no agents."""
_AGENT = re.compile(r"[^\s:]+")
_EVERYONE = frozenset({"", "*"})


def product_of(user_agent: str) -> str:
    """Return the product token of a User-Agent (RFC 9110, section 10.1.5) in lower case."""
    return re.split(r"[/\s]", user_agent.strip(), maxsplit=1)[0].lower()


def find_opt_out(fields: Iterable[str], respected: Collection[str], *, product: str) -> str | None:
    """Return the first of the `respected` directives that applies to `product`, or None.

    `fields` are the values of all X-Robots-Tag fields. A directive after the name of an agent concerns that agent,
    until the next name in the field. `none` stands for noindex.
    """
    for field in fields:
        agent = ""
        for part in field.lower().split(","):
            name, colon, rest = (text.strip() for text in part.partition(":"))
            if colon and name in _VALUED:
                continue
            # The time of a date has a colon too, with a blank before it.
            if colon and _AGENT.fullmatch(name):
                agent, words = name, rest
            else:
                words = name
            if agent not in _EVERYONE and agent != product:
                continue
            for word in words.split():
                directive = "noindex" if word == "none" else word
                if directive in respected:
                    return directive
    return None
