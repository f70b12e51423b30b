"""The port that gRPC is served on: whether it is free, and how several processes of ours share it."""

import asyncio
import socket


class CannotListen(Exception):
    """The address is taken, or is none of this machine's."""


async def reserve(address: str) -> asyncio.Server:
    """Bind the address, without listening, until the answer is closed. Raises CannotListen.

    gRPC itself tells no reason when it cannot bind, and writes a page to standard error.
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
    """Open a reserved address to processes of the same user that set SO_REUSEPORT; returns it with its real port.

    A reservation that does not listen gets no connections: the kernel spreads them over those that do (socket(7)).
    The option is set only now because a bind that carries it would join another's port silently.
    """
    for bound in reservation.sockets:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    host = address.rpartition(":")[0]
    return f"{host}:{reservation.sockets[0].getsockname()[1]}"
