"""`imageservice up`: the whole system on this machine, until Ctrl-C."""

import asyncio
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from cli import address
from cli.address import AddressOption
from cli.errors import UsageFault
from cli.local import plan as planning
from cli.local import ready_file as files
from cli.local.plan import Plan
from cli.local.ready_file import Running
from cli.local.system import System

MOST_CONSUMERS = 64


def up(
    *,
    listen: AddressOption = address.DEFAULT,
    consumers: Annotated[
        int, typer.Option(min=1, max=MOST_CONSUMERS, help="How many consumer processes.")
    ] = 1,
    metrics_port: Annotated[
        int,
        typer.Option(
            metavar="PORT",
            min=0,
            max=65_535,
            help="The server's; consumers count up from it. 0: free ones.",
        ),
    ] = 0,
    allow_network: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CIDR", help="Fetch from this network though it is not public. Repeatable."
        ),
    ] = None,
    ready_file: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH", help="Gets addresses, pids and settings as JSON once all is ready."
        ),
    ] = None,
    aws_endpoint: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Use an AWS-compatible endpoint that runs already, instead of starting one.",
        ),
    ] = None,
    name_prefix: Annotated[
        str, typer.Option(metavar="NAME", help="Begins the name of every AWS resource.")
    ] = "imageservice",
    parameter: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="A parameter of core/stack.yaml. Repeatable."),
    ] = None,
) -> None:
    """Run the whole system on this machine, on an embedded AWS that forgets all when it ends. Ctrl-C ends it."""
    networks = tuple(planning.parse_network(text) for text in allow_network or [])
    parameters = dict(planning.parse_parameter(text) for text in parameter or [])
    if aws_endpoint is None:
        planning.require_embedded_aws()
    elif not aws_endpoint.startswith(("http://", "https://")):
        raise UsageFault(f"--aws-endpoint {aws_endpoint}: not an http or https URL")
    if ready_file is not None and not ready_file.parent.is_dir():
        raise UsageFault(f"--ready-file {ready_file}: there is no folder {ready_file.parent}")
    where, metrics = planning.choose_ports(address.parse(listen), consumers, metrics_port)
    plan = Plan(
        address=where,
        server_port=metrics[0],
        consumer_ports=metrics[1:],
        networks=networks,
        aws_endpoint=aws_endpoint,
        name_prefix=name_prefix,
        parameters=parameters,
        log_format=os.environ.get("LOG_FORMAT", "console"),
        customer_tag_key=os.environ.get("CUSTOMER_TAG_KEY") or planning.random_key(),
    )
    asyncio.run(_run(plan, Terminal(Console(), ready_file)))


async def _run(plan: Plan, terminal: "Terminal") -> None:
    system = System(plan, os.environ, terminal)
    signals = 0

    def leave() -> None:
        nonlocal signals
        signals += 1
        if signals == 1:
            system.stop()
        else:
            system.kill()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, leave)
    await system.run()
    terminal.step("stopped")


class Terminal:
    """Says how the system fares, to people and in the ready file."""

    def __init__(self, console: Console, ready_file: Path | None) -> None:
        self._console = console
        self._ready_file = ready_file
        self._told = False

    def step(self, what: str) -> None:
        self._console.print(what, style="dim", highlight=False, markup=False, soft_wrap=True)

    def trouble(self, what: str) -> None:
        self._console.print(what, style="yellow", highlight=False, markup=False, soft_wrap=True)

    async def running(self, running: Running) -> None:
        if self._ready_file is not None:
            await asyncio.to_thread(files.write, self._ready_file, running)
        if not self._told:
            self._told = True
            self._say_where(running)

    async def not_running(self) -> None:
        self._told = False
        if self._ready_file is not None:
            await asyncio.to_thread(files.remove, self._ready_file)

    def _say_where(self, running: Running) -> None:
        lines: Sequence[tuple[str, str]] = [
            ("gRPC", running.address),
            ("AWS", running.aws_endpoint),
            ("images", running.environment["PUBLIC_BASE_URL"]),
            *(("metrics", url) for url in running.metrics),
        ]
        self._console.print("ready", style="bold green")
        for name, where in lines:
            self._console.print(
                f"  {name:<9}{where}", highlight=False, markup=False, soft_wrap=True
            )
        self._console.print("  Ctrl-C drains and ends it; twice ends it at once", style="dim")
