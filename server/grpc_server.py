"""Options and port of the gRPC server."""

import grpc

from server.port import CannotListen, reserve
from server.settings import ServerSettings

MAX_MESSAGE_BYTES = 256 * 1024
"""Much larger than the largest valid message (a watch of 100 ids, 4 KB), so that an invalid one gets a violation."""


def server_options(settings: ServerSettings, *, shares_port: bool = False) -> list[tuple[str, int]]:
    """Return channel arguments of gRPC core (grpc/impl/channel_arg_names.h)."""
    return [
        # By default a second process on the same port would share it silently. A conflict has to be an error.
        ("grpc.so_reuseport", int(shares_port)),
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_concurrent_streams", settings.max_concurrent_streams),
        # By default gRPC drops random calls without a reason as soon as 1,000 of a burst are pending.
        ("grpc.server.max_pending_requests", settings.max_queued_calls),
        ("grpc.server.max_pending_requests_hard_limit", settings.max_queued_calls),
        ("grpc.max_connection_age_ms", _milliseconds(settings.max_connection_age_s)),
        ("grpc.max_connection_age_grace_ms", _milliseconds(settings.max_connection_age_grace_s)),
        # A watch can be silent for hours. The server detects lost clients by keepalive pings, also if nothing else is
        # sent, and accepts pings of clients (by default it closes the connection after the third in five minutes).
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
    """Bind the address. Returns the port. Raises CannotListen.

    `shares_port`: a parent process has reserved the port for several processes, of which this is one.
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
