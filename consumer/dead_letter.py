"""Reading what the dead letters say."""

from consumer.outcome import DeadLetter
from core.message import decode_members


def decode_dead_letter(body: str) -> DeadLetter:
    """Raises MalformedMessage for what is no letter of ours.

    Members that are not known are left out: consumers of a later version may have written it.
    """
    return decode_members(DeadLetter, body)
