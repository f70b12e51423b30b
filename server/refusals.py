"""What the server itself refuses, beside the errors of core."""

from dataclasses import dataclass

from core.errors import ImageServiceError, Overloaded


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """`field` is the path in the request message, for example `request_ids[3]`."""

    field: str
    description: str


MAX_VIOLATIONS = 10
"""More would not fit into the trailers that gRPC allows (8 KiB), and the caller would get another error instead."""


class InvalidRequest(ImageServiceError):
    """The request message breaks the contract's limits; its first faults are listed, up to MAX_VIOLATIONS."""

    def __init__(self, violations: tuple[FieldViolation, ...]) -> None:
        listed = violations[:MAX_VIOLATIONS]
        text = "; ".join(f"{fault.field}: {fault.description}" for fault in listed)
        more = len(violations) - len(listed)
        super().__init__(f"{text}; and {more} more" if more else text)
        self.violations = listed


class ServerDraining(ImageServiceError):
    """This process is about to end; another one answers."""


class TooManyWatched(Overloaded):
    """The process watches as many requests as it may."""
