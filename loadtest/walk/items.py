"""The submitted requests: of ten, eight become images and two fail. One of twenty is delayed."""

from dataclasses import dataclass

from loadtest.million.items import EXTENSIONS, Items

_NOT_FOUND, _REDIRECTED, _BAD_REDIRECT = 3, 6, 9
"""Remainders modulo ten with a special URL. All others return the image directly."""
_DELAYED, _DELAYED_OF = 8, 20
"""Remainder and modulus of delayed items. Without them nothing would be PENDING after the consumers have caught up."""
_ERRORS = 2
"""Errors of the origin for a delayed item. The third attempt comes after RETRY_DELAY_S, and the message waits in the
queue meanwhile. The errors have no Retry-After, which would close the host for all items."""


@dataclass(frozen=True, slots=True)
class WalkItems(Items):
    """Item numbers from `total` on are submitted during the walks."""

    def url(self, number: int) -> str:
        base = self.origins[number % len(self.origins)]
        if self.delayed(number):
            return f"{base}/behave/flaky?key={self.request_id(number)}&times={_ERRORS}"
        match number // self.customers % 10:
            case remainder if remainder == _NOT_FOUND:
                return f"{base}/behave/status/404"
            case remainder if remainder == _BAD_REDIRECT:
                return f"{base}/behave/redirect?to=ftp://nowhere.invalid/"
            case remainder if remainder == _REDIRECTED:
                return f"{base}/behave/redirect-chain/1"
        extension = EXTENSIONS[number // self.customers % len(EXTENSIONS)]
        return f"{base}/generated/{number}.{extension}"

    def delayed(self, number: int) -> bool:
        """Return whether the item stays PENDING for RETRY_DELAY_S."""
        return number // self.customers % _DELAYED_OF == _DELAYED

    def customer(self, number: int) -> str:
        return self.customer_at(number % self.customers)

    def customer_at(self, at: int) -> str:
        """Return customer `at`. The name contains the run, so that its lists hold only requests of this run."""
        return f"walk-{self.run[:8]}-{at}"

    def number(self, request_id: str) -> int | None:
        prefix = self.request_id(0)[:-12]
        digits = request_id.removeprefix(prefix)
        return int(digits, 16) if request_id.startswith(prefix) else None
