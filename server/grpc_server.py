"""The gRPC server's transport: its limits, its patience, its port."""

import grpc

from server.port import CannotListen, reserve
from server.settings import ServerSettings

MAX_MESSAGE_BYTES = 256 * 1024
"""Far above the largest valid message (a watch of 100 ids, 4 KB), so that a fault is answered with its field."""


def listener_options(
    settings: ServerSettings, *, shares_port: bool = False
) -> list[tuple[str, int]]:
    """Channel arguments of gRPC core (grpc/impl/channel_arg_names.h)."""
    return [
        # By default two processes on one port would share it silently; a conflict is to be an error.
        ("grpc.so_reuseport", int(shares_port)),
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_concurrent_streams", settings.max_concurrent_streams),
        # By default gRPC drops calls at random, without a reason, as soon as a burst leaves 1,000 of them untaken.
        ("grpc.server.max_pending_requests", settings.max_queued_calls),
        ("grpc.server.max_pending_requests_hard_limit", settings.max_queued_calls),
        ("grpc.max_connection_age_ms", _milliseconds(settings.max_connection_age_s)),
        ("grpc.max_connection_age_grace_ms", _milliseconds(settings.max_connection_age_grace_s)),
        # A watch may be silent for hours. The server notices a client that is gone, keeps asking while nothing else
        # is sent, and bears clients that ask it (by default it closes after the third ping within five minutes).
        ("grpc.keepalive_time_ms", _milliseconds(settings.keepalive_time_s)),
        ("grpc.keepalive_timeout_ms", _milliseconds(settings.keepalive_timeout_s)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        (
            "grpc.http2.min_ping_interval_without_data_ms",
            _milliseconds(settings.keepalive_min_client_interval_s),
        ),
    ]


async def listen(server: grpc.aio.Server, address: str, *, shares_port: bool = False) -> int:
    """Bind the address; returns the port. Raises CannotListen.

    `shares_port`: a parent process has reserved the port, for this process among others.
    """
    if not shares_port:
        probe = await reserve(address)
        probe.close()
        await probe.wait_closed()
    try:
        return server.add_insecure_port(address)
    except RuntimeError as error:
        raise CannotListen(f"GRPC_ADDRESS: cannot listen on {address}") from error


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
