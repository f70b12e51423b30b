"""Types and parsers of command-line arguments. A parser raises UsageError if the service would refuse the value."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

import typer
from google.protobuf.timestamp_pb2 import Timestamp

from cli.errors import UsageError
from core.model.request import CUSTOMER_ID, UUID

DEFAULT_CUSTOMER = "local"

CustomerOption = Annotated[
    str, typer.Option("--customer", metavar="ID", help="The customer whose requests these are.")
]

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON objects, one per line.")]


def require_customer(customer: str) -> None:
    """Raise UsageError if the service would refuse the customer id."""
    if not CUSTOMER_ID.fullmatch(customer):
        raise UsageError(
            f"--customer '{customer}': not 1 to 128 of letters, digits, and the characters _ . : -"
        )


def parse_request_id(text: str, kind: str = "a request id") -> str:
    """Return the id in lower case, as the service writes it. Raises UsageError if it is not a UUID."""
    canonical = text.lower()
    if not UUID.fullmatch(canonical):
        raise UsageError(
            f"{text} is not {kind}: that is a UUID, 32 hexadecimal digits in five groups"
        )
    return canonical


def parse_labels(given: Iterable[str]) -> Mapping[str, str]:
    """Parse KEY=VALUE labels. Raises UsageError. The service checks their number and length."""
    labels: dict[str, str] = {}
    for label in given:
        key, equals, value = label.partition("=")
        if not equals or labels.get(key, value) != value:
            raise UsageError(f"--label {label}: not KEY=VALUE, or a second value of one key")
        labels[key] = value
    return labels


def parse_time(option: str, text: str | None) -> Timestamp | None:
    """Parse an ISO 8601 time, UTC if it has no zone. Raises UsageError, which names the option."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        time = Timestamp()
        time.FromDatetime(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    except (OverflowError, ValueError):
        raise UsageError(
            f"{option} {text}: not a time as in 2026-11-24, or 2026-11-24T09:30:00Z"
        ) from None
    return time


DEFAULT_ADDRESS = "127.0.0.1:50051"
ADDRESS_VARIABLE = "IMAGESERVICE_ADDRESS"
MAX_PORT = 65_535

AddressOption = Annotated[
    str,
    typer.Option(
        "--address",
        envvar=ADDRESS_VARIABLE,
        metavar="HOST:PORT",
        help="Address of the gRPC server.",
    ),
]


@dataclass(frozen=True, slots=True)
class Address:
    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """Parse HOST:PORT, with an IPv6 host in brackets and a port from 0 to 65535. Raises UsageError."""
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if bracketed:
        host = host[1:-1]
    plain = colon and host and port.isascii() and port.isdigit()
    if not plain or (":" in host and not bracketed):
        raise UsageError(f"--address {text}: not HOST:PORT")
    if int(port) > MAX_PORT:
        raise UsageError(f"--address {text}: the port is larger than {MAX_PORT}")
    return Address(host, int(port))
