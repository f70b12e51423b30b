"""What is submitted: which URL under which id by which customer. All computed from an item's number, nothing stored."""

import secrets
from dataclasses import dataclass, field

EXTENSIONS = ("jpg", "png", "webp", "gif")
SUBMITS_OF_A_BODY = 10
"""How often each body is submitted, where the number of bodies is left open."""

_PREFIX_DIGITS = 18


class TooFewCustomers(ValueError):
    """A customer would submit the same body twice, and the second upload would only repeat the first."""


def _random_run() -> str:
    return secrets.token_hex(_PREFIX_DIGITS // 2)


@dataclass(frozen=True, slots=True)
class Items:
    """`total` items, numbered from 0, over `bodies` distinct bodies, each by another customer every time.

    Raises TooFewCustomers where there are more submits of a body than customers.
    """

    total: int
    bodies: int
    customers: int
    origins: tuple[str, ...]
    """Base URLs; each body always comes from the same."""
    run: str = field(default_factory=_random_run)
    """18 hexadecimal digits that set this run's ids apart."""

    def __post_init__(self) -> None:
        if self.submits_of_a_body > self.customers:
            raise TooFewCustomers(
                f"{self.submits_of_a_body} submits of each body need as many customers, not {self.customers}"
            )

    @property
    def submits_of_a_body(self) -> int:
        return -(-self.total // self.bodies)

    def url(self, number: int) -> str:
        body = number % self.bodies
        base = self.origins[body % len(self.origins)]
        # Not by the same remainder as the origin: each origin serves every format.
        extension = EXTENSIONS[body // len(self.origins) % len(EXTENSIONS)]
        return f"{base}/generated/{body}.{extension}"

    def customer(self, number: int) -> str:
        """The run is part of its name, so that every object in the bucket is this run's own."""
        repeat, body = divmod(number, self.bodies)
        stride = self.customers // self.submits_of_a_body
        return f"load-{self.run[:8]}-{(body + repeat * stride) % self.customers}"

    def request_id(self, number: int) -> str:
        """A UUID (RFC 9562, version 4 by its digits) that ends in the item's number."""
        return f"{self._prefix}{number:012x}"

    def number(self, request_id: str) -> int | None:
        """Of an id; None where it is not of this run."""
        if not request_id.startswith(self._prefix):
            return None
        number = int(request_id[len(self._prefix) :], 16)
        return number if number < self.total else None

    @property
    def _prefix(self) -> str:
        run = self.run
        return f"{run[:8]}-{run[8:12]}-4{run[12:15]}-8{run[15:18]}-"
