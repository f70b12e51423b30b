"""Reserves the port of the gRPC server, and shares it between processes. Must not import gRPC (see __main__)."""

import asyncio
import socket


class CannotListen(Exception):
    """The address is in use, or is not an address of this machine."""


async def reserve(address: str) -> asyncio.Server:
    """Bind the address without listening, until the result is closed. Raises CannotListen.

    gRPC itself gives no reason if it cannot bind, and writes a page to standard error.
    """
    host, _, port = address.rpartition(":")
    loop = asyncio.get_running_loop()
    try:
        return await loop.create_server(
            asyncio.Protocol, host.strip("[]"), int(port), start_serving=False
        )
    except (OSError, OverflowError) as error:
        raise CannotListen(f"GRPC_ADDRESS: {error}") from error


def share(reservation: asyncio.Server, address: str) -> str:
    """Allow processes of the same user that set SO_REUSEPORT to listen on a reserved address. Returns it with its port.

    The reservation does not listen, so the kernel sends it no connections: they go to the sockets that listen
    (socket(7)). The option is set after the bind, because a bind with it would silently join another process's port.
    """
    for bound in reservation.sockets:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    host = address.rpartition(":")[0]
    return f"{host}:{reservation.sockets[0].getsockname()[1]}"
