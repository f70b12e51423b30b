"""The mapping and the settings of an index, and the JSON of a document. Pure.

All fields are keywords or numbers: core.search.tokenizer splits words, so no analyser is needed and nothing is ranked.
"""

import secrets
from datetime import UTC, datetime
from typing import Any

import orjson

from core.search.document import SearchDocument
from core.search.similarity import bands

VERSION = 1
"""Of the documents that `document_source` makes. An index of another version takes no writes until it is rebuilt."""

SHARDS = 1
"""Enough for tens of millions of documents of 0.5 KB each. With one shard, facet counts are exact."""

INCOMPLETE = "incomplete"
"""Key in `_meta` of an index that was created empty although there were images. A rebuild never sets it."""

_BITS = 64
_KEYWORD = {"type": "keyword"}
_FILTER_ONLY = {"type": "keyword", "doc_values": False}
_SORT_ONLY = {"type": "keyword", "index": False}
_STORE_ONLY = {"type": "keyword", "index": False, "doc_values": False}

_META = {"version": VERSION}
_MAPPING = {
    # A document with another field is rejected.
    "dynamic": "strict",
    "_meta": _META,
    "properties": {
        "image_id": _SORT_ONLY,
        "request_id": _STORE_ONLY,
        "customer_id": _KEYWORD,
        "created_at": {"type": "long"},
        "format": _KEYWORD,
        "color": _KEYWORD,
        "camera": _KEYWORD,
        "origin_host": _KEYWORD,
        "labels": _FILTER_ONLY,
        "words": _FILTER_ONLY,
        "width": {"type": "long"},
        "height": {"type": "long"},
        "bytes": {"type": "long"},
        # Only scripts read it; similar hashes are found by their bands.
        "hash": {"type": "long", "index": False},
        "bands": _FILTER_ONLY,
    },
}
_SETTINGS = {
    "number_of_shards": SHARDS,
    # One replica if there is a second node.
    "auto_expand_replicas": "0-1",
    # Explicit, because an index without it is not refreshed while it is idle.
    "refresh_interval": "1s",
    # The order of results. Images are indexed oldest first, so without it each document would sort before all earlier
    # ones, and one page of 30,000 hits would cost ten times as much.
    "sort.field": ["created_at", "image_id"],
    "sort.order": ["desc", "asc"],
}
BUILD_SETTINGS = {
    "auto_expand_replicas": "false",
    "number_of_replicas": 0,
    "refresh_interval": "-1",
}
"""Settings of an index that is not read yet."""
LIVE_SETTINGS = {name: _SETTINGS[name] for name in ("auto_expand_replicas", "refresh_interval")}


def index_pattern(alias: str) -> str:
    """Match the alias's indexes, and no other's: an alias has no underscore."""
    return f"{alias}_*"


def index_name(alias: str) -> str:
    return f"{alias}_{datetime.now(UTC):%Y%m%d%H%M%S}_{secrets.token_hex(4)}"


def index_template(alias: str) -> dict[str, Any]:
    return {
        "index_patterns": [index_pattern(alias)],
        "template": {"settings": {"index": _SETTINGS}, "mappings": _MAPPING},
        "version": VERSION,
    }


def index_body(alias: str, *, incomplete: bool) -> dict[str, Any]:
    """Return the body that creates an index behind the alias; the template has the rest.

    It has the INCOMPLETE mark, so a killed process leaves no incomplete index without the mark.
    """
    body: dict[str, Any] = {"aliases": {alias: {"is_write_index": True}}}
    if incomplete:
        # All of `_meta`, since it replaces the template's.
        body["mappings"] = {"_meta": _META | {INCOMPLETE: True}}
    return body


def document_source(document: SearchDocument) -> bytes:
    """Return the JSON of a document, without empty values."""
    values = {
        "image_id": document.image_id,
        "request_id": document.request_id,
        "customer_id": document.customer_id,
        "created_at": document.created_at,
        "format": document.format,
        "color": document.color,
        "camera": document.camera,
        "origin_host": document.origin_host,
        "labels": [label_term(*each) for each in document.labels.items()],
        "words": [customer_term(document.customer_id, word) for word in document.words],
        "width": document.width,
        "height": document.height,
        "bytes": document.bytes,
    }
    if document.perceptual_hash:
        values["hash"] = hash_long(document.perceptual_hash)
        values["bands"] = [
            band_term(number, value) for number, value in enumerate(bands(document.perceptual_hash))
        ]
    return orjson.dumps({name: value for name, value in values.items() if value not in (None, "")})


def customer_term(customer_id: str, word: str) -> str:
    """Return the term of a word of one customer; a customer id has no slash.

    A prefix search scans all terms with the prefix, so it must not meet other customers' words.
    """
    return f"{customer_id}/{word}"


def label_term(key: str, value: str) -> str:
    """Return one term for a label, unique for its key and value."""
    return orjson.dumps((key, value)).decode()


def band_term(number: int, value: int) -> str:
    """Return one term for the position and the value of a band."""
    return f"{number}:{value:04x}"


def hash_long(perceptual_hash: str) -> int:
    """Return the 64 bits as a signed integer, as OpenSearch's type `long` needs."""
    bits = int(perceptual_hash, 16)
    return bits - (1 << _BITS) if bits >> _BITS - 1 else bits
