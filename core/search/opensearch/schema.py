"""What an index looks like, and a document in it. Pure.

Everything is a keyword or a number: words are cut by core.search.tokenizer, and nothing is ranked by an analyser.
"""

import secrets
from datetime import UTC, datetime
from typing import Any

import orjson

from core.search.document import SearchDocument
from core.search.similarity import bands

VERSION = 1
"""Of what `source` makes. An index of another one is not written to; a rebuild makes one of this."""

SHARDS = 1
"""Enough for tens of millions of documents, of half a kilobyte each; with one, facets are exact."""

INCOMPLETE = "incomplete"
"""In `_meta` of an index that was made empty although there were images. No rebuild writes it."""

_BITS = 64
_FOUND = {"type": "keyword"}
_ONLY_FOUND = {"type": "keyword", "doc_values": False}
_ONLY_SORTED = {"type": "keyword", "index": False}
_ONLY_KEPT = {"type": "keyword", "index": False, "doc_values": False}

_META = {"version": VERSION}
_MAPPING = {
    # A field that is not named here is refused, and with it the document.
    "dynamic": "strict",
    "_meta": _META,
    "properties": {
        "image_id": _ONLY_SORTED,
        "request_id": _ONLY_KEPT,
        "customer_id": _FOUND,
        "created_at": {"type": "long"},
        "format": _FOUND,
        "color": _FOUND,
        "camera": _FOUND,
        "origin_host": _FOUND,
        "labels": _ONLY_FOUND,
        "words": _ONLY_FOUND,
        "width": {"type": "long"},
        "height": {"type": "long"},
        "bytes": {"type": "long"},
        # Only read by scripts: neighbours of a hash are looked up by their bands.
        "hash": {"type": "long", "index": False},
        "bands": _ONLY_FOUND,
    },
}
_SETTINGS = {
    "number_of_shards": SHARDS,
    # A second copy wherever there is a second node.
    "auto_expand_replicas": "0-1",
    # Said, because an index without it is not refreshed while nobody searches.
    "refresh_interval": "1s",
    # In the order of answers: images come oldest first, so each would otherwise be better than all before it, and a
    # page of thirty thousand hits would cost ten times as much.
    "sort.field": ["created_at", "image_id"],
    "sort.order": ["desc", "asc"],
}
BUILDING = {"auto_expand_replicas": "false", "number_of_replicas": 0, "refresh_interval": "-1"}
"""Settings of an index that nobody reads yet."""
BUILT = {name: _SETTINGS[name] for name in ("auto_expand_replicas", "refresh_interval")}


def pattern(alias: str) -> str:
    """Of the indexes' names. An underscore is in no alias, so that none is the beginning of another's indexes."""
    return f"{alias}_*"


def index_name(alias: str) -> str:
    return f"{alias}_{datetime.now(UTC):%Y%m%d%H%M%S}_{secrets.token_hex(4)}"


def template(alias: str) -> dict[str, Any]:
    return {
        "index_patterns": [pattern(alias)],
        "template": {"settings": {"index": _SETTINGS}, "mappings": _MAPPING},
        "version": VERSION,
    }


def empty(alias: str, *, incomplete: bool) -> dict[str, Any]:
    """The body of an index that is written to by its alias from the beginning, where the template makes the rest.

    The mark is in it from the first moment: whoever is killed leaves no index that nobody knows to be incomplete.
    """
    body: dict[str, Any] = {"aliases": {alias: {"is_write_index": True}}}
    if incomplete:
        # The whole of it, as it takes the place of the template's.
        body["mappings"] = {"_meta": _META | {INCOMPLETE: True}}
    return body


def source(document: SearchDocument) -> bytes:
    """A document as it is stored. What is empty is left out."""
    values = {
        "image_id": document.image_id,
        "request_id": document.request_id,
        "customer_id": document.customer_id,
        "created_at": document.created_at,
        "format": document.format,
        "color": document.color,
        "camera": document.camera,
        "origin_host": document.origin_host,
        "labels": [label(*each) for each in document.labels.items()],
        "words": [own(document.customer_id, word) for word in document.words],
        "width": document.width,
        "height": document.height,
        "bytes": document.bytes,
    }
    if document.perceptual_hash:
        values["hash"] = signed(document.perceptual_hash)
        values["bands"] = [
            band(number, value) for number, value in enumerate(bands(document.perceptual_hash))
        ]
    return orjson.dumps({name: value for name, value in values.items() if value not in (None, "")})


def own(customer_id: str, word: str) -> str:
    """A word of one customer. Looking for a word's beginning goes through every such term: so it finds others' nowhere.

    No customer's id has a slash.
    """
    return f"{customer_id}/{word}"


def label(key: str, value: str) -> str:
    """One term for both, which no other pair has."""
    return orjson.dumps((key, value)).decode()


def band(number: int, value: int) -> str:
    """One term for a band's place and its value."""
    return f"{number}:{value:04x}"


def signed(perceptual_hash: str) -> int:
    """The 64 bits as OpenSearch's longs have them."""
    bits = int(perceptual_hash, 16)
    return bits - (1 << _BITS) if bits >> _BITS - 1 else bits
