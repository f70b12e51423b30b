"""The `imageservice-loadtest` command."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer
import uvloop
from rich.console import Console

from loadtest.driver.errors import Cannot
from loadtest.driver.execution import INTERRUPTED
from loadtest.driver.target import Target
from loadtest.million import command
from loadtest.million.items import TooFewCustomers
from loadtest.million.settings import RunSettings
from loadtest.walk import command as walks
from loadtest.walk.choice import EVERYTHING, Choice
from loadtest.walk.settings import WalkSettings

USAGE = 2

DEFAULT_ADDRESS = "127.0.0.1:50051"

Address = Annotated[
    str, typer.Option(envvar="IMAGESERVICE_ADDRESS", metavar="HOST:PORT", help="The gRPC server.")
]
ReadyFile = Annotated[
    Path | None,
    typer.Option(help="That `imageservice up --ready-file` wrote: address, AWS and processes."),
]
Up = Annotated[
    bool, typer.Option("--up", help="Start the whole system on this machine, for this run.")
]
Consumers = Annotated[int, typer.Option(min=1, help="Consumers of --up.")]
Origin = Annotated[
    list[str] | None,
    typer.Option(metavar="URL", help="Where loadtest.origin runs. One is started here by default."),
]
Hosts = Annotated[
    int, typer.Option(min=1, max=200, help="Loopback addresses of the origin started here.")
]
Patience = Annotated[
    float, typer.Option(min=1, help="Seconds without news after which waiting ends.")
]
Note = Annotated[
    str, typer.Option(help="What the report shall say of the system: machines, settings.")
]
Sample = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=PID",
        help="Show a further process of this machine in the report. May be repeated.",
    ),
]
Report = Annotated[
    Path, typer.Option(metavar="FOLDER", help="Gets the report and the processes' logs.")
]

app = typer.Typer(
    name="imageservice-loadtest",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback()
def _group() -> None:
    """Puts load on the image service, and reports what it did."""


@app.command()
def million(
    *,
    requests: Annotated[int, typer.Option(min=1, help="How many images to submit.")] = 1_000_000,
    window: Annotated[
        int,
        typer.Option(min=1, help="Most requests unfinished at a time: keeps the queue shallow."),
    ] = 400,
    rate: Annotated[
        float | None,
        typer.Option(min=0.1, help="Submit so many a second whatever becomes of them (open loop)."),
    ] = None,
    customers: Annotated[int, typer.Option(min=1, help="Customers to submit for.")] = 100,
    bodies: Annotated[
        int | None,
        typer.Option(min=1, help="Distinct pictures. As many as give ten submits each by default."),
    ] = None,
    streams: Annotated[int, typer.Option(min=1, max=64, help="SubmitImages streams.")] = 4,
    unary: Annotated[bool, typer.Option("--unary", help="Submit by SubmitImage.")] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Learn of ends by WatchRequest, not by notifications.")
    ] = False,
    address: Address = DEFAULT_ADDRESS,
    ready_file: ReadyFile = None,
    up: Up = False,
    consumers: Consumers = 1,
    origin: Origin = None,
    hosts: Hosts = 16,
    patience: Patience = 120.0,
    note: Note = "",
    sample: Sample = None,
    report: Report = Path("million-report"),
) -> int:
    """Submit images by the million, follow each to its end, and prove that none was lost or doubled.

    Exit 1 if one was, if one FAILED, or if not all were acknowledged. With --ready-file, --up, or a server's settings
    in the environment (REQUESTS_TABLE, IMAGES_TABLE, QUEUE_URL, TOPIC_ARN and the AWS SDK's own) the ends are learnt
    from notifications and the proof reads the tables; otherwise WatchRequest and GetStatus serve.
    """
    settings = RunSettings(
        requests=requests,
        window=window,
        rate=rate,
        customers=customers,
        bodies=bodies,
        streams=streams,
        unary=unary,
        watch=watch,
        patience=patience,
        note=note,
    )
    target = Target(
        address, ready_file, up, consumers, tuple(origin or ()), hosts, _sampled(sample or [])
    )
    return uvloop.run(command.million(settings, target, report, Console()))


@app.command()
def walk(
    *,
    requests: Annotated[
        int, typer.Option(min=1, help="How many requests to submit before the first walk.")
    ] = 100_000,
    customers: Annotated[int, typer.Option(min=2, help="Customers to submit for.")] = 50,
    rate: Annotated[
        float, typer.Option(min=0.1, help="Requests a second to submit during the walks.")
    ] = 50.0,
    at_once: Annotated[
        int, typer.Option(min=1, max=64, help="Customers whose lists are walked at a time.")
    ] = 4,
    streams: Annotated[int, typer.Option(min=1, max=64, help="SubmitImages streams.")] = 4,
    only: Annotated[
        list[Choice] | None,
        typer.Option(help="Walk nothing but this. May be repeated. Everything by default."),
    ] = None,
    address: Address = DEFAULT_ADDRESS,
    ready_file: ReadyFile = None,
    up: Up = False,
    consumers: Consumers = 1,
    origin: Origin = None,
    hosts: Hosts = 16,
    patience: Patience = 120.0,
    note: Note = "",
    sample: Sample = None,
    report: Report = Path("walk-report"),
) -> int:
    """Walk every list and search of every customer to its end while more is submitted, and prove what was listed.

    Exit 1 unless each request that was there when a walk began is listed by it exactly once, none is listed to
    another customer, and no page token of one customer is taken for another's list. Needs the public contract only.
    """
    chosen = frozenset(only) if only else EVERYTHING
    settings = WalkSettings(requests, customers, rate, at_once, streams, patience, note, chosen)
    target = Target(
        address, ready_file, up, consumers, tuple(origin or ()), hosts, _sampled(sample or [])
    )
    return uvloop.run(walks.walk(settings, target, report, Console()))


@app.command()
def render(
    path: Annotated[
        Path, typer.Argument(help="The JSON file of a report, or its folder.", metavar="REPORT")
    ],
) -> int:
    """Draw a report as HTML and PNG, beside its JSON file."""
    from loadtest.run_report import report  # noqa: PLC0415  imports matplotlib, which no other command needs

    json_file = path / "report.json" if path.is_dir() else path
    try:
        written = report.render(json_file)
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise Cannot(f"{json_file}: not a report: {type(error).__name__}: {error}") from None
    for each in written:
        typer.echo(each)
    return 0


def _sampled(options: list[str]) -> dict[str, int]:
    """Process ids by name. Raises Cannot."""
    sampled = {}
    for option in options:
        name, _, pid = option.rpartition("=")
        if not name or not pid.isdecimal():
            raise Cannot(f"--sample {option}: give a name and a process id, as in DynamoDB=1234")
        sampled[name] = int(pid)
    return sampled


def run(arguments: list[str]) -> int:
    """The exit code. What goes wrong with the request is one line on stderr."""
    try:
        code = app(arguments, prog_name="imageservice-loadtest", standalone_mode=False)
    except (Cannot, TooFewCustomers) as error:
        return _complain(str(error), USAGE)
    except typer.TyperException as error:
        return _complain(error.format_message(), USAGE)
    except (KeyboardInterrupt, asyncio.CancelledError, typer.Abort):
        return INTERRUPTED
    return code if isinstance(code, int) else 0


def _complain(message: str, code: int) -> int:
    sys.stderr.write(f"imageservice-loadtest: {message}\n")
    return code


def main() -> None:
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
