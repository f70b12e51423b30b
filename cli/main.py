"""The `imageservice` command."""

import sys
from importlib.metadata import version
from typing import Annotated

import typer

from cli.commands import (
    jobs,
    list_requests,
    renditions,
    search,
    stack_settings,
    status,
    submit,
    up,
    watch,
)
from cli.errors import CommandFailed, OutputClosed, Stopped
from cli.output import text
from cli.output.outcome import escape_control

DISTRIBUTION = "imageservice-app"
USAGE = 2

app = typer.Typer(
    name="imageservice",
    help="Ingest images by URL: run the system on this machine, submit images, read their status.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    # Plain help: the boxes of rich show a flag as if it took a value.
    rich_markup_mode=None,
)
app.command("up")(up.up)
app.command("submit")(submit.submit)
app.command("status")(status.status)
app.command("watch")(watch.watch)
app.command("list")(list_requests.listing)
app.command("image")(status.image)
app.command("renditions")(renditions.renditions)
app.command("search")(search.search)
jobs.register(app)
app.command("stack-settings")(stack_settings.stack_settings)


def _print_version(requested: bool) -> None:
    if requested:
        sys.stdout.write(f"imageservice {version(DISTRIBUTION)}\n")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Options before the command."""


def run(arguments: list[str]) -> int:
    """Run the command line and return the exit code. Every error is one line on stderr."""
    try:
        # Not standalone: typer would print its errors in a box of several lines.
        code = app(arguments, prog_name="imageservice", standalone_mode=False)
        sys.stdout.flush()
    except (BrokenPipeError, OutputClosed):
        # The reader of the output has closed it. Python would print an error when it closes stdout.
        sys.stdout = None
        return 1
    except CommandFailed as error:
        return _complain(str(error), error.exit_code)
    except typer.TyperException as error:
        return _complain(error.format_message(), USAGE)
    except (KeyboardInterrupt, typer.Abort):
        return Stopped.exit_code
    return code if isinstance(code, int) else 0


def _complain(message: str, code: int) -> int:
    line = escape_control(" ".join(message.split()))
    if line:
        text.print_message(sys.stderr, f"imageservice: {line}")
    return code


def main() -> None:
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
