"""Decides about messages whose customer holds its share of the slots while all slots are taken. Pure.

An interactive message moves to the bulk lane. A bulk message, or any if there is one lane, is sent again with a delay
that grows, at most MAX_DEFERRALS times. After that it waits for a slot and runs whatever the shares.
"""

from dataclasses import dataclass

from core.model.message import MAX_DELAY_S, Lane
from core.resilience.backoff import Backoff

MAX_DEFERRALS = 8
"""Together at most 17 minutes of delay."""
_DELAY = Backoff(4.0, MAX_DELAY_S, floor=0.5)
"""Short at first: a customer that is alone waits for its own delayed messages at the end of its backlog. Not full
jitter: slots that are taken for long do not become free at once."""


@dataclass(frozen=True, slots=True)
class Deferral:
    """`delay` is in seconds; `deferrals` is the new number of the message."""

    lane: Lane
    delay: float
    deferrals: int


def is_deferrable(lane: Lane, deferrals: int, *, has_bulk: bool) -> bool:
    return _moves(lane, has_bulk=has_bulk) or deferrals < MAX_DEFERRALS


def defer(
    lane: Lane, deferrals: int, *, has_bulk: bool, not_after: int = 0, now: int = 0
) -> Deferral:
    """Return where a message of `lane` is sent. `not_after` and `now` are in milliseconds since the epoch, 0 for none.

    A delay does not exceed the message's `not_after` by much, so that its request ends then.
    """
    if _moves(lane, has_bulk=has_bulk):
        return Deferral(Lane.BULK, 0, deferrals)
    delay = _DELAY.delay(deferrals + 1)
    if not_after:
        delay = min(delay, max(1.0, (not_after - now) / 1_000 + 1.0))
    return Deferral(lane, delay, deferrals + 1)


def _moves(lane: Lane, *, has_bulk: bool) -> bool:
    return has_bulk and lane is Lane.INTERACTIVE
