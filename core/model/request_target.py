"""Makes the request target of a URL, its path and query, as browsers do: escaped, without dot segments.

Existing escapes stay byte for byte, because signatures cover them.
"""

import re
from urllib.parse import quote

# RFC 3986: reserved and unreserved characters, and "%" of existing escapes.
_KEPT = "%/?:@!$&'()*+,;=-._~[]"
_PLAIN = re.compile(rf"[A-Za-z0-9{re.escape(_KEPT)}]*")

# RFC 3986, section 3.3. Browsers and curl also read "%2e" as a dot here (WHATWG URL, section 4.1): RFC 3986, section
# 2.3 calls the two equivalent, and a server that decodes a path before it resolves it would leave its folder.
_DOT_SEGMENT = re.compile(r"/(?:\.|%2e){1,2}(?:/|\Z)", re.IGNORECASE)


def escape(text: str) -> str:
    """Escape what may not stand in a path or query: spaces, non-ASCII as UTF-8, control characters and a few others.

    A byte that was no valid UTF-8, and was decoded with "surrogateescape", is escaped as that byte.
    Raises UnicodeEncodeError for another lone surrogate.
    """
    if _PLAIN.fullmatch(text):
        return text
    return quote(text, safe=_KEPT, errors="surrogateescape")


def normalize(target: str) -> str:
    """Return an escaped path and query with at least "/" as its path, and without dot segments (RFC 3986, 5.2.4)."""
    if not target.startswith("/"):
        target = f"/{target}"
    # As almost every target. The expression takes longer.
    if "/." not in target and "/%2" not in target:
        return target
    path, mark, query = target.partition("?")
    if _DOT_SEGMENT.search(path):
        path = _remove_dot_segments(path)
    return path + mark + query


def _remove_dot_segments(path: str) -> str:
    kept: list[str] = []
    names_folder = False
    for segment in path.split("/")[1:]:
        plain = segment.lower().replace("%2e", ".")
        names_folder = plain in {".", ".."}
        if plain == "..":
            del kept[-1:]
        elif plain != ".":
            kept.append(segment)
    # A dot segment at the end names a folder.
    return "/" + "/".join([*kept, ""] if names_folder else kept)
