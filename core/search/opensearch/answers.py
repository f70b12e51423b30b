"""Decoders of OpenSearch's answers that several modules need. Pure."""

from collections.abc import Mapping
from typing import Any

from core.answers import MalformedAnswer, member

Answer = Mapping[str, Any]


def decode_acknowledged(answer: Answer) -> None:
    """Decode the answer of a change of indexes, aliases, settings or templates: it must have taken effect."""
    if not member(answer, "acknowledged", bool):
        raise MalformedAnswer("the change is not acknowledged")


def decode_block(answer: Answer) -> set[str]:
    """Decode an added block: the indexes that did not get it. The answer leaves out those that had it before."""
    decode_acknowledged(answer)
    blocked = {
        member(index, "name", str): member(index, "blocked", bool)
        for index in member(answer, "indices", list)
    }
    return {name for name, taken in blocked.items() if not taken}


def decode_refresh(answer: Answer) -> None:
    """Decode a refresh: every copy of every shard that is in use must have made it."""
    if failed := member(answer["_shards"], "failed", int):
        raise MalformedAnswer(f"{failed} shards not refreshed")


def decode_exists(answer: object) -> bool:
    """Decode a HEAD: the library answers with a bool."""
    if not isinstance(answer, bool):
        raise MalformedAnswer(f"{type(answer).__name__} instead of a bool")
    return answer


def decode_aliases(answer: Answer) -> dict[str, dict[str, Answer]]:
    """Decode the aliases of indexes: by index, the options of each alias by name.

    OpenSearch answers 404 if there is no index. An empty answer would let a rebuild replace an index uncopied.
    """
    if not answer:
        raise MalformedAnswer("no index")
    return {index: _options(member(answer, index, dict)) for index in answer}


def _options(index: Answer) -> dict[str, Answer]:
    aliases = member(index, "aliases", dict)
    return {alias: member(aliases, alias, dict) for alias in aliases}
