"""Capacity of this process for one kind of work, shared fairly between customers."""

from collections.abc import Iterator
from contextlib import contextmanager

from core.errors import Overloaded
from core.resilience.fair_share import FairShare
from server.metrics import REFUSED_PLACES


class Capacity(FairShare):
    """`places` for everybody, and a reserve for customers below their share.

    With the default reserve, as many places again, they are never refused. `kind` is the metric label, and the noun of
    the message for a refused caller. `error` is what it gets.
    """

    def __init__(
        self,
        kind: str,
        places: int,
        *,
        reserve: int | None = None,
        error: type[Overloaded] = Overloaded,
    ) -> None:
        super().__init__(places, reserve=places if reserve is None else reserve)
        self._kind = kind
        self._error = error
        self._refusals = {
            reason: REFUSED_PLACES.labels(kind, reason) for reason in ("share", "full")
        }

    def require(self, customer_id: str, places: int = 1) -> None:
        """Hold places until `release`. Raises the error of this kind if the customer is not admitted."""
        if not self.take(customer_id, places):
            raise self.refusal(customer_id)

    def refusal(self, customer_id: str) -> Overloaded:
        """Return the error for a caller that is not admitted, and count it."""
        held = self.held_by(customer_id)
        if held >= self.share(customer_id):
            self._refusals["share"].inc()
            return self._error(f"This server already has {held} {self._kind} of this customer.")
        self._refusals["full"].inc()
        return self._error(f"This server already has {self.total} {self._kind}.")

    @contextmanager
    def slot(self, customer_id: str) -> Iterator[None]:
        """Hold a place for the duration of a call. Raises the error of this kind."""
        self.require(customer_id)
        try:
            yield
        finally:
            self.release(customer_id)
