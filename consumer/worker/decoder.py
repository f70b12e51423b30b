"""The interface between the worker and the sandbox. The worker itself imports no decoder."""

from collections.abc import Sequence
from typing import Protocol

from consumer.byte_budget import Reservation
from consumer.imaging.result import InspectionResult
from consumer.sandbox.decode_pool import Isolation


class Decoder(Protocol):
    """DecodePool, or its replacement in a simulation."""

    async def inspect(
        self,
        body: bytes,
        request_id: str,
        renditions: Sequence[str] = (),
        memory: Reservation | None = None,
        isolation: Isolation | None = None,
        *,
        customer_id: str = "",
    ) -> InspectionResult:
        """Inspect one image, and make its renditions.

        memory: for the renditions. It is held if there are any in the result.
        isolation: for an image that may end this process. customer_id: see Admission.
        Raises PermanentFailure, DecodersBusy for an expensive image that has to come back, and Overloaded if the system
        refuses new processes.
        """

    async def wait_for_turn(self, customer_id: str) -> None:
        """Wait until an expensive image may be fetched. Raises DecodersBusy."""
