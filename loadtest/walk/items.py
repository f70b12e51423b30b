"""What is submitted: of ten requests eight become images, and two fail. One of twenty comes late."""

from dataclasses import dataclass

from loadtest.million.items import EXTENSIONS, Items

_MISSING, _ELSEWHERE, _LED_ASTRAY = 3, 6, 9
"""Remainders by ten. Without them the picture is where it is said to be."""
_LATE, _LATE_OF = 8, 20
"""So many of a customer's come late: else nothing would be PENDING once consumers have caught up."""
LATE_SECONDS = 60
"""For which the origin puts them off. That takes no place at a consumer: the message waits in the queue."""


@dataclass(frozen=True, slots=True)
class WalkItems(Items):
    """Numbers go on beyond `total`: those are submitted while lists are walked."""

    def url(self, number: int) -> str:
        base = self.origins[number % len(self.origins)]
        if self.late(number):
            return f"{base}/behave/retry-after/503/{LATE_SECONDS}?key={self.request_id(number)}"
        match number // self.customers % 10:
            case remainder if remainder == _MISSING:
                return f"{base}/behave/status/404"
            case remainder if remainder == _LED_ASTRAY:
                return f"{base}/behave/redirect?to=ftp://nowhere.invalid/"
            case remainder if remainder == _ELSEWHERE:
                return f"{base}/behave/redirect-chain/1"
        extension = EXTENSIONS[number // self.customers % len(EXTENSIONS)]
        return f"{base}/generated/{number}.{extension}"

    def late(self, number: int) -> bool:
        """Whether it stays PENDING for a minute, however fast consumers are."""
        return number // self.customers % _LATE_OF == _LATE

    def customer(self, number: int) -> str:
        return self.customer_at(number % self.customers)

    def customer_at(self, at: int) -> str:
        """The run is part of its name, so that its lists hold this run's requests and no others."""
        return f"walk-{self.run[:8]}-{at}"

    def number(self, request_id: str) -> int | None:
        prefix = self.request_id(0)[:-12]
        digits = request_id.removeprefix(prefix)
        return int(digits, 16) if request_id.startswith(prefix) else None
