"""The parts of `--workers` that need no worker process."""

import asyncio
import signal
import socket
import subprocess
import sys

import pytest

from core.runtime.child_process import shell_status
from server.port import CannotListen, reserve, share


def test_the_parent_imports_neither_grpc_nor_the_sdk() -> None:
    """The parent does not pay for the imports of its workers."""
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
def test_a_signal_becomes_a_shell_exit_status(code: int, status: int) -> None:
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
    """Bind a socket as a worker does."""
    host, _, port = address.rpartition(":")
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, int(sharing))
    sock.bind((host, int(port)))
    return sock


async def test_workers_can_listen_on_a_shared_reservation() -> None:
    """They get all connections, because the reservation does not listen."""
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


async def test_a_port_shared_by_others_is_in_use() -> None:
    """With SO_REUSEPORT on both sides one process would silently join the other's port."""
    with bound("127.0.0.1:0", sharing=True) as other:
        other.listen()
        with pytest.raises(CannotListen, match="already in use"):
            await reserve(f"127.0.0.1:{other.getsockname()[1]}")


@pytest.mark.parametrize("address", ["127.0.0.1:99999", "192.0.2.1:0", "no.such.host.invalid:0"])
async def test_an_invalid_address_names_its_setting(address: str) -> None:
    with pytest.raises(CannotListen, match=r"^GRPC_ADDRESS: "):
        await reserve(address)
