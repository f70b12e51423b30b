"""The parts of `--workers` that need no worker."""

import asyncio
import signal
import socket
import subprocess
import sys

import pytest

from core.runtime.child_process import shell_status
from server.port import CannotListen, reserve, share


def test_the_parent_loads_neither_grpc_nor_the_sdk() -> None:
    """Whoever starts the workers pays for none of what they need."""
    code = (
        "import sys, server.__main__\n"
        "print({name.partition('.')[0] for name in sys.modules}"
        " & {'grpc', 'grpc_health', 'google', 'uvloop', 'botocore', 'aiohttp'})"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("code", "status"),
    [(0, 0), (1, 1), (2, 2), (-signal.SIGKILL, 137), (-signal.SIGTERM, 143)],
)
def test_a_signals_end_is_a_shells_exit_status(code: int, status: int) -> None:
    assert shell_status(code) == status


@pytest.mark.parametrize("number", ["0", "-1", "two"])
def test_a_number_of_workers_is_at_least_one(number: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "server", "--workers", number],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "--workers" in done.stderr


def bound(address: str, *, sharing: bool) -> socket.socket:
    """A socket that is bound as a worker's is."""
    host, _, port = address.rpartition(":")
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, int(sharing))
    sock.bind((host, int(port)))
    return sock


async def test_a_shared_reservation_admits_those_that_share() -> None:
    """They get every connection, as the reservation does not listen."""
    reservation = await reserve("127.0.0.1:0")
    address = share(reservation, "127.0.0.1:0")
    with bound(address, sharing=True) as listener:
        listener.listen()
        listener.setblocking(False)
        host, _, port = address.rpartition(":")
        for _ in range(10):
            _, writer = await asyncio.open_connection(host, int(port))
            accepted, _ = await asyncio.get_running_loop().sock_accept(listener)
            accepted.close()
            writer.close()
        with pytest.raises(CannotListen, match="already in use"):
            await reserve(address)
    reservation.close()


async def test_a_port_that_others_share_is_taken() -> None:
    """SO_REUSEPORT on both sides would let one join the other silently."""
    with bound("127.0.0.1:0", sharing=True) as other:
        other.listen()
        with pytest.raises(CannotListen, match="already in use"):
            await reserve(f"127.0.0.1:{other.getsockname()[1]}")


@pytest.mark.parametrize("address", ["127.0.0.1:99999", "192.0.2.1:0", "no.such.host.invalid:0"])
async def test_an_impossible_address_is_named_by_its_setting(address: str) -> None:
    with pytest.raises(CannotListen, match=r"^GRPC_ADDRESS: "):
        await reserve(address)
