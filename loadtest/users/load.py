"""What all users of one process share during a run."""

import uuid
from collections import deque
from dataclasses import dataclass, field
from typing import Self

from imageservice.v1 import image_service_pb2 as pb
from loadtest.users.arrivals import Arrivals, Share, arrivals
from loadtest.users.connections import Connections
from loadtest.users.image_urls import ImageNumbers
from loadtest.users.options import Options
from loadtest.users.target import target

_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Load:
    """`known` are ids that were acknowledged lately, for those who ask for states."""

    options: Options
    arrivals: Arrivals
    connections: Connections
    numbers: ImageNumbers
    known: deque[str] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))

    @classmethod
    def begin(cls, host: str, options: Options, share: Share) -> Self:
        return cls(
            options,
            arrivals(options.rate, options.requests, share),
            Connections(target(host), options.connections),
            ImageNumbers(share.index, share.processes),
        )

    def image(self) -> pb.SubmitImageRequest:
        """Another image, under an id of ours: so it is known whatever becomes of the answer."""
        number = self.numbers.take()
        return pb.SubmitImageRequest(
            url=self.options.urls.of_number(number),
            customer_id=f"load-{number % self.options.customers}",
            request_id=str(uuid.uuid4()),
        )
