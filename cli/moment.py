"""Moments as people give them."""

from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from cli.errors import UsageFault


def parse(option: str, text: str | None) -> Timestamp | None:
    """ISO 8601, UTC where no zone is named. Raises UsageFault, which names the option."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        time = Timestamp()
        time.FromDatetime(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    except (OverflowError, ValueError):
        raise UsageFault(
            f"{option} {text}: not a time as in 2026-11-24, or 2026-11-24T09:30:00Z"
        ) from None
    return time
