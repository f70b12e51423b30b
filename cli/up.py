"""`imageservice up`: the whole system on this machine, until Ctrl-C."""

import asyncio
import os
import signal
from pathlib import Path

from rich.console import Console

from cli import address
from cli.address import AddressOption
from cli.errors import UsageFault
from cli.local import plan as planning
from cli.local import stack, template
from cli.local.plan import Plan
from cli.local.roles import WORKER_GRACE_SECONDS
from cli.local.system import System
from cli.terminal import Terminal
from cli.up_options import (
    AllowNetwork,
    AwsEndpoint,
    Consumers,
    MetricsPort,
    NamePrefix,
    Parameters,
    ReadyFile,
)


def up(
    *,
    listen: AddressOption = address.DEFAULT,
    consumers: Consumers = 1,
    metrics_port: MetricsPort = 0,
    allow_network: AllowNetwork = None,
    ready_file: ReadyFile = None,
    aws_endpoint: AwsEndpoint = None,
    name_prefix: NamePrefix = "imageservice",
    parameter: Parameters = None,
) -> None:
    """Run the whole system on this machine. Ctrl-C ends it, and the embedded AWS forgets all."""
    networks = tuple(planning.parse_network(text) for text in allow_network or [])
    parameters = dict(planning.parse_parameter(text) for text in parameter or [])
    known = template.parameters(stack.TEMPLATE.read_text(encoding="utf-8"))
    template.check(known, parameters)
    template.check_value(f"--name-prefix {name_prefix}", known["NamePrefix"], name_prefix)
    _require(aws_endpoint, ready_file)
    where, metrics = planning.choose_ports(address.parse(listen), consumers, metrics_port)
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
    asyncio.run(_run(plan, Terminal(Console(), ready_file)))


def _require(aws_endpoint: str | None, ready_file: Path | None) -> None:
    if aws_endpoint is None:
        planning.require_embedded_aws()
    elif not aws_endpoint.startswith(("http://", "https://")):
        raise UsageFault(f"--aws-endpoint {aws_endpoint}: not an http or https URL")
    if ready_file is not None and not ready_file.parent.is_dir():
        raise UsageFault(f"--ready-file {ready_file}: there is no folder {ready_file.parent}")


async def _run(plan: Plan, terminal: Terminal) -> None:
    system = System(plan, os.environ, terminal)
    leaving = False

    def leave() -> None:
        nonlocal leaving
        if leaving:
            system.kill()
        else:
            leaving = True
            terminal.step(
                f"waiting for the consumers to finish what they hold, up to {WORKER_GRACE_SECONDS:g} s; "
                "Ctrl-C again ends it"
            )
            system.stop()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, leave)
    await system.run()
    terminal.step("stopped")
