"""The state that all users of a process share during a run."""

import uuid
from collections import deque
from dataclasses import dataclass, field
from itertools import cycle
from typing import TYPE_CHECKING, Self

import grpc

from imageservice.v1 import image_service_pb2 as pb
from imageservice.v1 import image_service_pb2_grpc as pb_grpc
from loadtest.users.arrivals import Arrivals, Share, arrivals
from loadtest.users.image_urls import ImageNumbers
from loadtest.users.options import Options

if TYPE_CHECKING:
    Stub = pb_grpc.ImageServiceStub

_MAX_RECENT = 10_000

_CHANNEL = [
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # Otherwise all channels of a process to one address share one connection.
    ("grpc.use_local_subchannel_pool", 1),
]


def target(host: str) -> str:
    """Return HOST:PORT from the value of --host. The web page of locust suggests a scheme, which is removed."""
    return host.removeprefix("http://").removeprefix("grpc://").rstrip("/")


class Connections:
    """`number` channels to `address`. Each connects at its first call."""

    def __init__(self, address: str, number: int) -> None:
        self._channels = [grpc.insecure_channel(address, options=_CHANNEL) for _ in range(number)]
        self._stubs = cycle([pb_grpc.ImageServiceStub(channel) for channel in self._channels])

    def next_stub(self) -> "Stub":
        """Distribute users over the connections in turn."""
        return next(self._stubs)

    def close(self) -> None:
        """Close all channels, which cancels calls in flight."""
        for channel in self._channels:
            channel.close()


@dataclass(frozen=True, slots=True)
class Load:
    """`recent` holds the ids of recently acknowledged requests."""

    options: Options
    arrivals: Arrivals
    connections: Connections
    numbers: ImageNumbers
    recent: deque[str] = field(default_factory=lambda: deque(maxlen=_MAX_RECENT))

    @classmethod
    def begin(cls, host: str, options: Options, share: Share) -> Self:
        return cls(
            options,
            arrivals(options.rate, options.requests, share),
            Connections(target(host), options.connections),
            ImageNumbers(share.index, share.processes),
        )

    def image(self) -> pb.SubmitImageRequest:
        """Return the next image. Its id is ours, so that it is known even if the response is lost."""
        number = self.numbers.take()
        return pb.SubmitImageRequest(
            url=self.options.urls.of_number(number),
            customer_id=f"load-{number % self.options.customers}",
            request_id=str(uuid.uuid4()),
        )
