"""What a local system is to consist of."""

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
    """All ports are chosen and were free when the plan was made."""

    address: Address
    consumer_ports: tuple[int, ...]
    """Metrics ports, one for each consumer process."""
    server_port: int
    """The server's metrics port."""
    indexer_port: int | None = None
    """The indexer's metrics port; None runs none, and what is published cannot be searched."""
    networks: tuple[str, ...] = ()
    """Networks that consumers may fetch from although they are not public, as CIDR."""
    aws_endpoint: str | None = None
    """An AWS-compatible endpoint that runs already; None starts the embedded AWS."""
    name_prefix: str = "imageservice"
    parameters: Mapping[str, str] = field(default_factory=dict)
    """Of core/stack.yaml."""
    log_format: str = "console"
    logs: Path | None = None
    """A folder that gets a file for each process; None leaves what they say on the terminal."""
    extra_children: Sequence[ChildSpec] = ()
    """What else belongs to the system, ready before it is."""
    customer_tag_key: str = field(default_factory=random_key, repr=False)
    """The key behind the customers' part of object names. One for the plan, so that names outlast a restart."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """URLs, the server's first."""
        every = (self.server_port, *self.consumer_ports)
        return tuple(f"http://{METRICS_HOST}:{port}/metrics" for port in every)


def metrics_ports(first: int, consumers: int) -> list[int]:
    """The server's, the consumers' and the indexer's: counted up from `first`, or any that are free where it is 0."""
    return [first + number if first else 0 for number in range(consumers + 2)]


def choose_ports(
    address: Address, consumers: int, metrics_port: int
) -> tuple[Address, tuple[int, ...]]:
    """The server's address, and the metrics ports: the server's first, the indexer's last.

    Raises UsageError where one is taken.

    Port 0 takes a free one. Metrics ports count up from `metrics_port`, where that is not 0.
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
    """A network in its usual spelling; raises UsageError."""
    try:
        return str(ipaddress.ip_network(text))
    except ValueError as error:
        raise UsageError(f"--allow-network {text}: {error}") from None


def parse_parameter(text: str) -> tuple[str, str]:
    """NAME=VALUE; raises UsageError."""
    name, equals, value = text.partition("=")
    if not equals or not name.isalnum():
        raise UsageError(f"--parameter {text}: not NAME=VALUE")
    return name, value


def require_embedded_aws() -> None:
    """Raise UsageError where the embedded AWS is not installed; it is an extra, so that no image holds it."""
    if find_spec("ministack") is None:
        raise UsageError(
            "the embedded AWS is not installed: pip install -e '.[local]' -e ./protos, or give --aws-endpoint"
        )
