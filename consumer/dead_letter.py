"""Reading what the dead letters say."""

import uuid
from dataclasses import fields

import orjson

from consumer.outcome import DeadLetter
from core.message import MalformedMessage

_TYPES = tuple((field.name, field.type) for field in fields(DeadLetter))
_NAMES = frozenset(name for name, _ in _TYPES)


def decode_dead_letter(body: str) -> DeadLetter:
    """Raises MalformedMessage for what is no letter of ours.

    Members that are not known are left out: consumers of a later version may have written it.
    """
    try:
        members = orjson.loads(body).items()
        letter = DeadLetter(**{name: value for name, value in members if name in _NAMES})
        uuid.UUID(letter.request_id)
    except (ValueError, TypeError, AttributeError) as error:
        raise MalformedMessage(str(error)) from error
    for name, kind in _TYPES:
        if type(getattr(letter, name)) is not kind:
            raise MalformedMessage(f"{name} is of another type")
    return letter
