"""The options of `imageservice up`."""

from pathlib import Path
from typing import Annotated

import typer

MOST_CONSUMERS = 64

Consumers = Annotated[
    int,
    typer.Option(
        "--consumers", metavar="N", min=1, max=MOST_CONSUMERS, help="How many consumer processes."
    ),
]
MetricsPort = Annotated[
    int,
    typer.Option(
        "--metrics-port",
        metavar="PORT",
        min=0,
        max=65_535,
        help="Of the server's metrics; the consumers' count up from it. 0 takes free ones.",
    ),
]
AllowNetwork = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-network",
        metavar="CIDR",
        help="Fetch from this network though it is not public, as 127.0.0.1/32 for this machine. Repeatable.",
    ),
]
ReadyFile = Annotated[
    Path | None,
    typer.Option(
        "--ready-file",
        metavar="PATH",
        help="Gets addresses, pids and settings as JSON once all is ready.",
    ),
]
AwsEndpoint = Annotated[
    str | None,
    typer.Option(
        "--aws-endpoint",
        metavar="URL",
        help="Use an AWS-compatible endpoint that runs already, instead of starting one.",
    ),
]
NamePrefix = Annotated[
    str,
    typer.Option("--name-prefix", metavar="NAME", help="Begins the name of every AWS resource."),
]
Parameters = Annotated[
    list[str] | None,
    typer.Option(
        "--parameter", metavar="NAME=VALUE", help="A parameter of core/stack.yaml. Repeatable."
    ),
]
