"""The `imageservice-loadtest` command."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer
import uvloop
from rich.console import Console

from loadtest.driver.execution import INTERRUPTED, CannotStart
from loadtest.driver.target import Target
from loadtest.million import command
from loadtest.million.items import TooFewCustomers
from loadtest.million.run import RunSettings
from loadtest.walk import command as walks
from loadtest.walk.lists import EVERYTHING, Selection
from loadtest.walk.run import WalkSettings

USAGE = 2

DEFAULT_ADDRESS = "127.0.0.1:50051"

Address = Annotated[
    str, typer.Option(envvar="IMAGESERVICE_ADDRESS", metavar="HOST:PORT", help="The gRPC server.")
]
ReadyFile = Annotated[
    Path | None,
    typer.Option(help="The file of `imageservice up --ready-file`: address, AWS and processes."),
]
Up = Annotated[
    bool, typer.Option("--up", help="Start the whole system on this machine for this run.")
]
Consumers = Annotated[int, typer.Option(min=1, help="Consumers that --up starts.")]
Origin = Annotated[
    list[str] | None,
    typer.Option(metavar="URL", help="A running loadtest.origin. Default: start one."),
]
Hosts = Annotated[
    int, typer.Option(min=1, max=200, help="Loopback addresses of the origin that is started.")
]
ProgressTimeout = Annotated[
    float,
    typer.Option(
        "--progress-timeout",
        "--patience",
        min=1,
        help="Seconds without progress after which waiting ends.",
    ),
]
Note = Annotated[str, typer.Option(help="A sentence about the system, for the report.")]
Sample = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=PID",
        help="Sample a further process of this machine. Repeatable.",
    ),
]
Report = Annotated[
    Path, typer.Option(metavar="FOLDER", help="Folder for the report and the logs of processes.")
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
    """Load tests of the image service."""


@app.command()
def million(
    *,
    requests: Annotated[int, typer.Option(min=1, help="Number of images to submit.")] = 1_000_000,
    window: Annotated[
        int,
        typer.Option(min=1, help="Maximum of unfinished requests; keeps the queue short."),
    ] = 400,
    rate: Annotated[
        float | None,
        typer.Option(min=0.1, help="Open loop: requests per second, whatever their outcome."),
    ] = None,
    customers: Annotated[int, typer.Option(min=1, help="Number of customers.")] = 100,
    bodies: Annotated[
        int | None,
        typer.Option(min=1, help="Distinct images. Default: each is submitted ten times."),
    ] = None,
    streams: Annotated[
        int, typer.Option(min=1, max=64, help="Number of SubmitImages streams.")
    ] = 4,
    unary: Annotated[bool, typer.Option("--unary", help="Submit with SubmitImage calls.")] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Use WatchRequest instead of notifications.")
    ] = False,
    address: Address = DEFAULT_ADDRESS,
    ready_file: ReadyFile = None,
    up: Up = False,
    consumers: Consumers = 1,
    origin: Origin = None,
    hosts: Hosts = 16,
    progress_timeout: ProgressTimeout = 120.0,
    note: Note = "",
    sample: Sample = None,
    report: Report = Path("million-report"),
) -> int:
    """Submit a million images, wait for the end of each, and verify that none was lost or duplicated.

    Exit code 1 if one was, if one FAILED, or if not all were acknowledged. With --ready-file, --up, or the settings of
    a server in the environment (REQUESTS_TABLE, IMAGES_TABLE, QUEUE_URL, TOPIC_ARN and those of the AWS SDK), the test
    reads notifications and tables; otherwise it uses WatchRequest and GetStatus.
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
        progress_timeout=progress_timeout,
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
        int, typer.Option(min=1, help="Number of requests to submit before the first walk.")
    ] = 100_000,
    customers: Annotated[int, typer.Option(min=2, help="Number of customers.")] = 50,
    rate: Annotated[
        float, typer.Option(min=0.1, help="Requests per second to submit during the walks.")
    ] = 50.0,
    at_once: Annotated[
        int, typer.Option(min=1, max=64, help="Customers whose lists are read concurrently.")
    ] = 4,
    streams: Annotated[
        int, typer.Option(min=1, max=64, help="Number of SubmitImages streams.")
    ] = 4,
    only: Annotated[
        list[Selection] | None,
        typer.Option(help="Read only these lists. Repeatable. Default: all."),
    ] = None,
    address: Address = DEFAULT_ADDRESS,
    ready_file: ReadyFile = None,
    up: Up = False,
    consumers: Consumers = 1,
    origin: Origin = None,
    hosts: Hosts = 16,
    progress_timeout: ProgressTimeout = 120.0,
    note: Note = "",
    sample: Sample = None,
    report: Report = Path("walk-report"),
) -> int:
    """Read every list and search of every customer while more is submitted, and verify the entries.

    Exit code 1 unless each request that existed when a walk began is listed by it exactly once, none is listed to
    another customer, and no page token of one customer is accepted for another. Needs only the public contract.
    """
    selected = frozenset(only) if only else EVERYTHING
    settings = WalkSettings(
        requests, customers, rate, at_once, streams, progress_timeout, note, selected
    )
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
        raise CannotStart(f"{json_file}: not a report: {type(error).__name__}: {error}") from None
    for each in written:
        typer.echo(each)
    return 0


def _sampled(options: list[str]) -> dict[str, int]:
    """Parse NAME=PID options to process ids by name. Raises CannotStart."""
    sampled = {}
    for option in options:
        name, _, pid = option.rpartition("=")
        if not name or not pid.isdecimal():
            raise CannotStart(
                f"--sample {option}: give a name and a process id, as in DynamoDB=1234"
            )
        sampled[name] = int(pid)
    return sampled


def run(arguments: list[str]) -> int:
    """Run a command and return its exit code. Usage errors are one line on stderr."""
    try:
        code = app(arguments, prog_name="imageservice-loadtest", standalone_mode=False)
    except (CannotStart, TooFewCustomers) as error:
        return _usage_error(str(error))
    except typer.TyperException as error:
        return _usage_error(error.format_message())
    except (KeyboardInterrupt, asyncio.CancelledError, typer.Abort):
        return INTERRUPTED
    return code if isinstance(code, int) else 0


def _usage_error(message: str) -> int:
    sys.stderr.write(f"imageservice-loadtest: {message}\n")
    return USAGE


def main() -> None:
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
