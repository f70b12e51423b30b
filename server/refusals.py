"""What the server itself refuses, beside the errors of core."""

from dataclasses import dataclass

from core.errors import ImageServiceError, Overloaded


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """`field` is the path in the request message, for example `request_ids[3]`."""

    field: str
    description: str


class InvalidRequest(ImageServiceError):
    """The request message breaks the contract's limits; every fault is listed."""

    def __init__(self, violations: tuple[FieldViolation, ...]) -> None:
        super().__init__("; ".join(f"{fault.field}: {fault.description}" for fault in violations))
        self.violations = violations


class ServerDraining(ImageServiceError):
    """This process is about to end; another one answers."""


class TooManyWatched(Overloaded):
    """The process watches as many requests as it may."""
