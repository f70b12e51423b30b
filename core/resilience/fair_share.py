"""Fair shares of a bounded resource: one customer alone may use all of it, and a second one is admitted at once.

A pool has C places and a reserve on top of them. While fewer than C places are held, everybody is admitted. Beyond
that, only customers that hold less than their share get a place of the reserve. The share is C divided by the number of
customers that hold or recently wanted places. So a customer above its share gets no new place until others release
places. No place is taken away.

With a reserve of C places, a customer below its share is always admitted while there are at most C customers: those
above their share hold at most C places together, and so do the shares of all others.
"""

import time
from collections import OrderedDict
from collections.abc import Callable

_MIN_RESERVE = 2
_RESERVE_PART = 8
"""The reserve is an eighth of the places, if the pool does not choose another one."""
_WANTED_S = 5.0
"""Seconds for which a customer that was not admitted counts as one that wants places."""
_MAX_WANTING = 1_000


class FairShare:
    """The places that customers hold. A customer that holds nothing is forgotten. `clock` returns seconds."""

    def __init__(
        self,
        places: int,
        *,
        reserve: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`reserve` defaults to an eighth of the places, at least two."""
        self._places = places
        if reserve is None:
            reserve = max(_MIN_RESERVE, places // _RESERVE_PART)
        self._all_places = places + reserve
        self._clock = clock
        self._total = 0
        self._held: dict[str, int] = {}
        self._wanting: OrderedDict[str, float] = OrderedDict()
        """Customers that hold nothing and were not admitted, with the time; the earliest first."""

    @property
    def places(self) -> int:
        """The places without the reserve."""
        return self._places

    @property
    def reserve(self) -> int:
        """The places on top."""
        return self._all_places - self._places

    @property
    def total(self) -> int:
        """The places that are held."""
        return self._total

    @property
    def full(self) -> bool:
        """Whether only the reserve is left, if anything."""
        return self._total >= self._places

    def held_by(self, customer_id: str) -> int:
        return self._held.get(customer_id, 0)

    def share(self, customer_id: str, *, of: int | None = None) -> int:
        """Return the places that this customer may hold while others want the rest, at least one.

        `of` is the number of places that are shared out, if it is not all of them.
        """
        self._forget_wanting()
        customers = len(self._held) + len(self._wanting)
        if customer_id not in self._held and customer_id not in self._wanting:
            customers += 1
        return max(1, (self._places if of is None else of) // customers)

    def admits(self, customer_id: str, places: int = 1) -> bool:
        """Return whether the customer may take `places`. If not, it counts as one that wants places for a while."""
        total = self._total + places
        if total <= self._places:
            return True
        below = self.held_by(customer_id) < self.share(customer_id)
        if below and total <= self._all_places:
            return True
        self._note_wanting(customer_id)
        return False

    def take(self, customer_id: str, places: int = 1) -> bool:
        """Hold `places` if the customer is admitted. Returns False if it is not."""
        if not self.admits(customer_id, places):
            return False
        self.hold(customer_id, places)
        return True

    def hold(self, customer_id: str, places: int = 1) -> None:
        """Hold `places`, admitted or not."""
        self._total += places
        self._held[customer_id] = self._held.get(customer_id, 0) + places
        if self._wanting:
            self._wanting.pop(customer_id, None)

    def release(self, customer_id: str, places: int = 1) -> None:
        self._total -= places
        left = self._held[customer_id] - places
        if left:
            self._held[customer_id] = left
        else:
            del self._held[customer_id]

    def _note_wanting(self, customer_id: str) -> None:
        if customer_id in self._held:
            return
        self._wanting[customer_id] = self._clock()
        self._wanting.move_to_end(customer_id)
        if len(self._wanting) > _MAX_WANTING:
            self._wanting.popitem(last=False)

    def _forget_wanting(self) -> None:
        while self._wanting:
            customer_id, since = next(iter(self._wanting.items()))
            if self._clock() - since <= _WANTED_S:
                return
            del self._wanting[customer_id]
