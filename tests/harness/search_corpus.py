"""Six images of one customer that differ in every property of a search."""

# ruff: noqa: RUF001

from collections.abc import Mapping

from core.model.color import Color
from core.search.document import SearchDocument
from harness.search_documents import document

HASH = "ffff0000ffff00ff"
LONG = "x" * 70
QUOTED = 'say "hi" AND NOT 100% * OR (x)'

# In order of time; the newest is last.
CORPUS: Mapping[str, SearchDocument] = {
    "alps": document(
        created_at=1_000,
        format="JPEG",
        width=4000,
        height=3000,
        bytes=2_000_000,
        camera="Canon EOS 5D",
        origin_host="photos.example",
        labels={"order": "7", "place": "Zürich"},
        color=Color.RED,
        perceptual_hash=HASH,
    ),
    "bare": document(created_at=2_000, format="PNG", width=100, height=200, bytes=5_000),
    "coast": document(
        created_at=3_000,
        format="WEBP",
        width=640,
        height=480,
        bytes=70_000,
        camera="canon eos 5d",
        origin_host="photos.example",
        labels={"order": "8", "Ort": "Ελλάδα"},
        color=Color.GREEN,
        perceptual_hash="0000000000000000",
    ),
    "tower": document(
        created_at=4_000,
        format="GIF",
        width=1,
        height=1,
        bytes=43,
        camera="NIKON Z 6_2",
        origin_host="xn--bcher-kva.example",
        labels={"title": "東京 タワー", "mood": "naïve café", "straße": "Москва"},
    ),
    "signs": document(
        created_at=5_000,
        format="JPEG",
        width=641,
        height=481,
        bytes=70_001,
        camera="Œuvre ﬁne Ｆｕｊｉ",
        origin_host="a.b-c.example",
        labels={"quote": QUOTED, "path": "C:\\temp\\new", "emoji": "📷 gr👍🏽eat", "a=b": "c"},
        color=Color.RED,
        perceptual_hash="ffff0000ffff0000",
    ),
    "shop": document(
        created_at=6_000,
        format="AVIF",
        width=640,
        height=2**31,
        bytes=2**53 + 1,
        camera="O'Neill; DROP TABLE documents--",
        origin_host="10.0.0.1",
        labels={"empty": "", "order": "7", "a": "b=c", "long": LONG},
        color=Color.BLACK,
    ),
}
EVERY = ("shop", "signs", "tower", "coast", "bare", "alps")
"""In the order of search results."""
