"""Connections to the server that the users of a process share."""

from itertools import cycle
from typing import TYPE_CHECKING

import grpc

from imageservice.v1 import image_service_pb2_grpc as pb_grpc

if TYPE_CHECKING:
    Stub = pb_grpc.ImageServiceStub

_OPTIONS = [
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # Otherwise all channels of a process to one address are one connection.
    ("grpc.use_local_subchannel_pool", 1),
]


class Connections:
    """`number` channels to `target`. Each connects when first used."""

    def __init__(self, target: str, number: int) -> None:
        self._channels = [grpc.insecure_channel(target, options=_OPTIONS) for _ in range(number)]
        self._stubs = cycle([pb_grpc.ImageServiceStub(channel) for channel in self._channels])

    def next_stub(self) -> "Stub":
        """Users are spread over the connections in turn."""
        return next(self._stubs)

    def close(self) -> None:
        """Ends what is still under way."""
        for channel in self._channels:
            channel.close()
