"""The settings that the consumer cannot start without, for commands that run it."""

from collections.abc import Mapping, Sequence

from cli.errors import UsageError

NAMES = (
    "REQUESTS_TABLE",
    "IMAGES_TABLE",
    "QUEUE_URL",
    "FAILED_REQUESTS_QUEUE_URL",
    "DLQ_URL",
    "BUCKET",
    "TOPIC_ARN",
    "PUBLIC_BASE_URL",
    "CUSTOMER_TAG_KEY",
)

# Accepted for one release. The consumer reports that they are deprecated.
_FORMER_NAMES = {
    "FAILED_REQUESTS_QUEUE_URL": "DEAD_LETTER_QUEUE_URL",
    "DLQ_URL": "UNDELIVERED_QUEUE_URL",
}


def require(environ: Mapping[str, str], names: Sequence[str] = NAMES) -> None:
    """Raises UsageError that names what `environ` lacks."""
    missing = [
        name
        for name in names
        if name not in environ and _FORMER_NAMES.get(name, name) not in environ
    ]
    if missing:
        raise UsageError(
            "the consumer's settings are needed: give --ready-file, the file that `imageservice up --ready-file` "
            "writes, or set the environment variables that docs/reference.md lists "
            f"(missing: {', '.join(missing)})"
        )
