"""JSON that is safe to print: readable letters stay readable, and nothing commands a terminal or hides on it."""

import json
from typing import Any


def json_text(told: Any) -> str:
    """One line, which parses to what was `told`.

    Labels, URLs and cameras are strangers' text. What `str.isprintable` refuses (terminal controls, marks that turn
    the direction of text, spaces without a width, line separators) is written as JSON's escapes.
    """
    text = json.dumps(told, ensure_ascii=False)
    if text.isprintable():
        return text
    # Outside its strings JSON is plain ASCII, so whatever is not printable may be escaped where it stands.
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)
