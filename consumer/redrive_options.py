"""What `python -m consumer redrive` may be asked for. A value that cannot be meant ends it before AWS is asked."""

import argparse
import re
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

from core import failure_code
from core.clock import now_ms

V = TypeVar("V")

_CUSTOMER = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
"""The contract's rule for customer_id."""


def add_options(parser: argparse.ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--customer", metavar="ID", type=_checked(_customer), help="those of this customer"
    )
    which.add_argument(
        "--request-id",
        metavar="ID[,ID...]",
        type=_checked(_request_ids),
        action="extend",
        help="these requests; repeatable",
    )
    parser.add_argument(
        "--failure-code",
        metavar="CODE",
        type=_checked(failure_code.parse),
        help="only those that failed with this code",
    )
    parser.add_argument(
        "--since",
        metavar="TIME",
        type=_checked(_moment),
        help="with --customer: only those that failed at or after it, such as 2026-11-24T09:30:00Z",
    )
    parser.add_argument(
        "--rate", metavar="N", type=_checked(_rate), default=500.0, help="requests a second (500)"
    )


def fault(arguments: argparse.Namespace) -> str | None:
    """What of the options does not go together."""
    if arguments.since is not None and arguments.customer is None:
        return "--since goes with --customer"
    return None


def _checked(parse: Callable[[str], V]) -> Callable[[str], V]:
    """As `parse`, whose ValueErrors argparse would tell without their text."""

    def parsed(text: str) -> V:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return parsed


def _customer(text: str) -> str:
    if not _CUSTOMER.fullmatch(text):
        raise ValueError(f"{text} is not 1 to 128 of letters, digits, and the characters _ . : -")
    return text


def _request_ids(text: str) -> list[str]:
    """As the service writes them."""
    ids = text.lower().split(",")
    for each in ids:
        try:
            canonical = str(uuid.UUID(each)) == each
        except ValueError:
            canonical = False
        if not canonical:
            raise ValueError(f"{each} is not a request id: that is a UUID")
    return ids


def _moment(text: str) -> int:
    """Milliseconds since the epoch; UTC where no zone is named."""
    try:
        moment = datetime.fromisoformat(text)
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        milliseconds = max(0, round(aware.timestamp() * 1000))
    except (OverflowError, ValueError):
        raise ValueError(
            f"{text} is not a time as in 2026-11-24, or 2026-11-24T09:30:00Z"
        ) from None
    if milliseconds > now_ms():
        raise ValueError(f"{text} is not in the past")
    return milliseconds


def _rate(text: str) -> float:
    rate = float(text)
    if not 0 < rate < float("inf"):
        raise ValueError(f"{text} is not above 0")
    return rate
