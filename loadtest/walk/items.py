"""What is submitted: of ten requests eight become images, and two fail."""

from dataclasses import dataclass

from loadtest.million.items import Items

_MISSING, _ELSEWHERE, _LED_ASTRAY = 3, 6, 9
"""Remainders by ten. Without them the picture is where it is said to be."""


@dataclass(frozen=True, slots=True)
class WalkItems(Items):
    """Numbers go on beyond `total`: those are submitted while lists are walked."""

    def url(self, number: int) -> str:
        base = self.origins[number % len(self.origins)]
        match number // self.customers % 10:
            case remainder if remainder == _MISSING:
                return f"{base}/behave/status/404"
            case remainder if remainder == _LED_ASTRAY:
                return f"{base}/behave/redirect?to=ftp://nowhere.invalid/"
            case remainder if remainder == _ELSEWHERE:
                return f"{base}/behave/redirect-chain/1"
        return f"{base}/generated/{number}.png"

    def customer(self, number: int) -> str:
        return self.customer_at(number % self.customers)

    def customer_at(self, at: int) -> str:
        """The run is part of its name, so that its lists hold this run's requests and no others."""
        return f"walk-{self.run[:8]}-{at}"

    def number(self, request_id: str) -> int | None:
        prefix = self.request_id(0)[:-12]
        digits = request_id.removeprefix(prefix)
        return int(digits, 16) if request_id.startswith(prefix) else None
