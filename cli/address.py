"""Where a gRPC server is: HOST:PORT, with an IPv6 host in brackets."""

from dataclasses import dataclass
from typing import Annotated

import typer

from cli.errors import UsageFault

DEFAULT = "127.0.0.1:50051"
VARIABLE = "IMAGESERVICE_ADDRESS"
LARGEST_PORT = 65_535

AddressOption = Annotated[
    str,
    typer.Option(
        "--address", envvar=VARIABLE, metavar="HOST:PORT", help="Address of the gRPC server."
    ),
]


@dataclass(frozen=True, slots=True)
class Address:
    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse(text: str) -> Address:
    """Raises UsageFault where `text` is not HOST:PORT with a port from 0 to 65535."""
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if bracketed:
        host = host[1:-1]
    plain = colon and host and port.isascii() and port.isdigit()
    if not plain or (":" in host and not bracketed):
        raise UsageFault(f"--address {text}: not HOST:PORT")
    if int(port) > LARGEST_PORT:
        raise UsageFault(f"--address {text}: the port is larger than {LARGEST_PORT}")
    return Address(host, int(port))
