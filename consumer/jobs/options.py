"""Options of the jobs, and parsers of their values. An invalid value ends a job before it calls AWS."""

import argparse
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

from core.errors import FailureCode
from core.model.request import CUSTOMER_ID, UUID
from core.runtime.clock import now_ms

V = TypeVar("V")

MAX_SEGMENTS = 16
"""Each segment has one call under way. In a reindex it also waits for the request rows of one page, and Tables has room
for 10,000 waiting reads."""


def _parser(parse: Callable[[str], V]) -> Callable[[str], V]:
    """Return `parse`, with ValueErrors turned into the error whose text argparse prints."""

    def parsed(text: str) -> V:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return parsed


@_parser
def positive(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise ValueError(f"{text} is not above 0")
    return number


@_parser
def _segments(text: str) -> int:
    number = int(text)
    if not 1 <= number <= MAX_SEGMENTS:
        raise ValueError(f"{text} is not from 1 to {MAX_SEGMENTS}")
    return number


def add_scan_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--segments",
        metavar="N",
        type=_segments,
        default=4,
        help=f"segments of the scan that are read in parallel (4; at most {MAX_SEGMENTS})",
    )
    parser.add_argument(
        "--rate", metavar="ROWS", type=positive, default=5_000.0, help="rows read per second (5000)"
    )


@_parser
def customer_id(text: str) -> str:
    if not CUSTOMER_ID.fullmatch(text):
        raise ValueError(f"{text} is not 1 to 128 of letters, digits, and the characters _ . : -")
    return text


@_parser
def request_ids(text: str) -> list[str]:
    """Parse ids that are separated by commas; return them in lower case, as the service writes them."""
    ids = text.lower().split(",")
    for each in ids:
        if not UUID.fullmatch(each):
            raise ValueError(f"{each} is not a request id: that is a UUID")
    return ids


@_parser
def past_time(text: str) -> int:
    """Parse an ISO 8601 time, UTC if it names no zone; return milliseconds since the epoch."""
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


failure_code = _parser(FailureCode.parse)
