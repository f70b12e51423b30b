"""The plan of a local system: addresses, ports and settings."""

import ipaddress
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from cli.arguments import Address
from cli.errors import UsageError
from cli.local import ports
from cli.local.child import ChildSpec
from cli.local.ports import PortRequest

METRICS_HOST = "127.0.0.1"


def random_key() -> str:
    return secrets.token_hex(32)


@dataclass(frozen=True, slots=True)
class Plan:
    """All ports were free when the plan was made."""

    address: Address
    consumer_ports: tuple[int, ...]
    """Metrics ports, one per consumer process."""
    server_port: int
    """The server's metrics port."""
    indexer_port: int | None = None
    """The indexer's metrics port. None runs no indexer, and search finds nothing."""
    networks: tuple[str, ...] = ()
    """Non-public networks that consumers may fetch from, as CIDR."""
    aws_endpoint: str | None = None
    """A running AWS-compatible endpoint; None starts the embedded AWS."""
    name_prefix: str = "imageservice"
    parameters: Mapping[str, str] = field(default_factory=dict)
    """Parameters of core/stack.yaml."""
    log_format: str = "console"
    logs: Path | None = None
    """A folder for one log file per process; None leaves the output on the terminal."""
    extra_children: Sequence[ChildSpec] = ()
    """Further processes of the system. They start before it counts as ready."""
    customer_tag_key: str = field(default_factory=random_key, repr=False)
    """The key of the customer tag in object names. It belongs to the plan, so that names survive a restart."""


def metrics_ports(first: int, consumers: int) -> list[int]:
    """Return the ports of server, consumers and indexer: counted up from `first`, or 0 (any) for each if it is 0."""
    return [first + number if first else 0 for number in range(consumers + 2)]


def choose_ports(
    address: Address, consumers: int, metrics_port: int
) -> tuple[Address, tuple[int, ...]]:
    """Return the server's address and the metrics ports: the server's first, the indexer's last.

    Port 0 takes a free port. Metrics ports count up from `metrics_port` if it is not 0. Raises UsageError if a port
    is taken.
    """
    metrics = (
        PortRequest(METRICS_HOST, port, "metrics")
        for port in metrics_ports(metrics_port, consumers)
    )
    port, *others = ports.choose(
        [PortRequest(address.host, address.port, "the gRPC server"), *metrics]
    )
    return Address(address.host, port), tuple(others)


def parse_network(text: str) -> str:
    """Return a network in canonical form. Raises UsageError."""
    try:
        return str(ipaddress.ip_network(text))
    except ValueError as error:
        raise UsageError(f"--allow-network {text}: {error}") from None


def parse_parameter(text: str) -> tuple[str, str]:
    """Parse NAME=VALUE. Raises UsageError."""
    name, equals, value = text.partition("=")
    if not equals or not name.isalnum():
        raise UsageError(f"--parameter {text}: not NAME=VALUE")
    return name, value


def require_embedded_aws() -> None:
    """Raise UsageError if the embedded AWS is not installed. It is an extra that no container image contains."""
    if find_spec("ministack") is None:
        raise UsageError(
            "the embedded AWS is not installed: pip install -e '.[local]' -e ./protos, or give --aws-endpoint"
        )
