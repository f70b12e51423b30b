"""`imageservice up`: run the whole system on this machine until Ctrl-C."""

import asyncio
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from cli import arguments
from cli.arguments import AddressOption
from cli.errors import UsageError
from cli.local import plan as planning
from cli.local import ready_file as files
from cli.local import stack, template
from cli.local.plan import Plan
from cli.local.processes import WORKER_GRACE_S
from cli.local.ready_file import Running
from cli.local.system import System
from cli.output.text import wrap

MAX_CONSUMERS = 64

Consumers = Annotated[
    int,
    typer.Option(
        "--consumers", metavar="N", min=1, max=MAX_CONSUMERS, help="Number of consumer processes."
    ),
]
MetricsPort = Annotated[
    int,
    typer.Option(
        "--metrics-port",
        metavar="PORT",
        min=0,
        max=65_535,
        help="Port of the server's metrics; the consumers' ports follow it. 0 takes free ports.",
    ),
]
AllowNetwork = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-network",
        metavar="CIDR",
        help="Allow origins in this non-public network, for example 127.0.0.1/32 for this machine. Repeatable.",
    ),
]
ReadyFile = Annotated[
    Path | None,
    typer.Option(
        "--ready-file",
        metavar="PATH",
        help="A file for addresses, pids and settings as JSON, written when all is ready.",
    ),
]
AwsEndpoint = Annotated[
    str | None,
    typer.Option(
        "--aws-endpoint",
        metavar="URL",
        help="Use this AWS-compatible endpoint instead of starting the embedded AWS.",
    ),
]
NamePrefix = Annotated[
    str,
    typer.Option("--name-prefix", metavar="NAME", help="Prefix of the names of all AWS resources."),
]
Parameters = Annotated[
    list[str] | None,
    typer.Option(
        "--parameter", metavar="NAME=VALUE", help="A parameter of core/stack.yaml. Repeatable."
    ),
]


class TerminalObserver:
    """Prints the state of the system and maintains the ready file."""

    def __init__(self, console: Console, ready_file: Path | None) -> None:
        self._console = console
        self._ready_file = ready_file
        self._report = False

    def step(self, what: str) -> None:
        self._print(what, "dim")

    def warn(self, what: str) -> None:
        self._print(what, "yellow")

    async def running(self, running: Running) -> None:
        if self._ready_file is not None:
            await asyncio.to_thread(files.write, self._ready_file, running)
        if self._report:
            self.step("ready again")
            return
        self._report = True
        self._print_endpoints(running)

    async def not_running(self) -> None:
        self._report = False
        if self._ready_file is not None:
            await asyncio.to_thread(files.remove, self._ready_file)

    def _print_endpoints(self, running: Running) -> None:
        self._print("ready", "bold green")
        for name, where in endpoints(running):
            self._print(f"  {name:<24}{where}")
        if not running.environment.get("ALLOWED_NETWORKS"):
            self._print(
                "  Images on this machine are refused, as those of every private address; "
                "--allow-network 127.0.0.1/32 allows them.",
                "dim",
            )
        self._print("  Ctrl-C drains and stops the system; a second Ctrl-C kills it", "dim")

    def _print(self, what: str, style: str = "") -> None:
        if self._console.is_terminal:
            what = wrap(what, self._console.width)
        self._console.print(what, style=style, highlight=False, markup=False, soft_wrap=True)


def endpoints(running: Running) -> Sequence[tuple[str, str]]:
    server, *others = running.metrics
    indexer = [others.pop()] if "indexer" in running.pids else []
    return [
        ("gRPC", running.address),
        ("AWS", running.aws_endpoint),
        ("images", running.environment["PUBLIC_BASE_URL"]),
        ("server's metrics", server),
        *((f"consumer {n}'s metrics", url) for n, url in enumerate(others, 1)),
        *(("indexer's metrics", url) for url in indexer),
    ]


def up(
    *,
    listen: AddressOption = arguments.DEFAULT_ADDRESS,
    consumers: Consumers = 1,
    metrics_port: MetricsPort = 0,
    allow_network: AllowNetwork = None,
    ready_file: ReadyFile = None,
    aws_endpoint: AwsEndpoint = None,
    name_prefix: NamePrefix = "imageservice",
    parameter: Parameters = None,
) -> None:
    """Run the whole system on this machine. Ctrl-C stops it, and the embedded AWS loses its data."""
    networks = tuple(planning.parse_network(text) for text in allow_network or [])
    parameters = dict(planning.parse_parameter(text) for text in parameter or [])
    known = template.parameters(stack.TEMPLATE.read_text(encoding="utf-8"))
    template.check(known, parameters)
    template.check_value(f"--name-prefix {name_prefix}", known["NamePrefix"], name_prefix)
    _require(aws_endpoint, ready_file)
    where, metrics = planning.choose_ports(arguments.parse_address(listen), consumers, metrics_port)
    plan = Plan(
        address=where,
        server_port=metrics[0],
        consumer_ports=metrics[1:-1],
        indexer_port=metrics[-1],
        networks=networks,
        aws_endpoint=aws_endpoint,
        name_prefix=name_prefix,
        parameters=parameters,
        log_format=os.environ.get("LOG_FORMAT", "console"),
        customer_tag_key=os.environ.get("CUSTOMER_TAG_KEY") or planning.random_key(),
    )
    asyncio.run(_run(plan, TerminalObserver(Console(), ready_file)))


def _require(aws_endpoint: str | None, ready_file: Path | None) -> None:
    if aws_endpoint is None:
        planning.require_embedded_aws()
    elif not aws_endpoint.startswith(("http://", "https://")):
        raise UsageError(f"--aws-endpoint {aws_endpoint}: not an http or https URL")
    if ready_file is not None and not ready_file.parent.is_dir():
        raise UsageError(f"--ready-file {ready_file}: there is no folder {ready_file.parent}")


async def _run(plan: Plan, terminal: TerminalObserver) -> None:
    system = System(plan, os.environ, terminal)
    leaving = False

    def leave() -> None:
        nonlocal leaving
        if leaving:
            system.kill()
        else:
            leaving = True
            terminal.step(
                f"waiting up to {WORKER_GRACE_S:g} s for the consumers to finish the messages that they hold; "
                "Ctrl-C again kills them"
            )
            system.stop()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, leave)
    await system.run()
    terminal.step("stopped")
