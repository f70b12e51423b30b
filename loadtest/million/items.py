"""The submitted items: URL, id and customer are computed from the number of an item, and nothing is stored."""

import secrets
from dataclasses import dataclass, field

EXTENSIONS = ("jpg", "png", "webp", "gif")
SUBMITS_PER_BODY = 10
"""How often each body is submitted, if the number of bodies is not given."""

_PREFIX_DIGITS = 18


class TooFewCustomers(ValueError):
    """A customer would submit one body twice, and the second upload would overwrite the first."""


def _random_run() -> str:
    return secrets.token_hex(_PREFIX_DIGITS // 2)


@dataclass(frozen=True, slots=True)
class Items:
    """`total` items, numbered from 0, over `bodies` distinct bodies; no customer submits a body twice.

    Raises TooFewCustomers if a body is submitted more often than there are customers.
    """

    total: int
    bodies: int
    customers: int
    origins: tuple[str, ...]
    """Base URLs. Each body has one origin."""
    run: str = field(default_factory=_random_run)
    """18 hexadecimal digits that distinguish the ids of this run."""

    def __post_init__(self) -> None:
        if self.submits_per_body > self.customers:
            raise TooFewCustomers(
                f"{self.submits_per_body} submits of each body need as many customers, not {self.customers}"
            )

    @property
    def submits_per_body(self) -> int:
        return -(-self.total // self.bodies)

    def url(self, number: int) -> str:
        body = number % self.bodies
        base = self.origins[body % len(self.origins)]
        # Divided first, so that each origin serves every format.
        extension = EXTENSIONS[body // len(self.origins) % len(EXTENSIONS)]
        return f"{base}/generated/{body}.{extension}"

    def customer(self, number: int) -> str:
        """Return the customer. Its name contains the run, so that runs share no object in the bucket."""
        repeat, body = divmod(number, self.bodies)
        stride = self.customers // self.submits_per_body
        return f"load-{self.run[:8]}-{(body + repeat * stride) % self.customers}"

    def request_id(self, number: int) -> str:
        """Return a UUID (RFC 9562, version 4 by its digits) that ends with the number of the item."""
        return f"{self._prefix}{number:012x}"

    def number(self, request_id: str) -> int | None:
        """Return the number of the item; None if the id belongs to another run."""
        if not request_id.startswith(self._prefix):
            return None
        number = int(request_id[len(self._prefix) :], 16)
        return number if number < self.total else None

    @property
    def _prefix(self) -> str:
        run = self.run
        return f"{run[:8]}-{run[8:12]}-4{run[12:15]}-8{run[15:18]}-"
