"""What `--only` chooses."""

from enum import StrEnum


class Choice(StrEnum):
    REQUESTS = "requests"
    SPANS = "spans"
    PENDING = "pending"
    COMPLETED = "completed"
    FAILED = "failed"
    IMAGES = "images"
    SEARCH = "search"


EVERYTHING = frozenset(Choice)
