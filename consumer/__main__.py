"""`python -m consumer [COMMAND]`: the programs of the consumer. Without a command it is the worker."""

import argparse
import sys
from typing import Any, NoReturn

import uvloop
from botocore.exceptions import BotoCoreError

from consumer.command import Command
from consumer.exporter import queue_exporter
from consumer.indexer import app as indexer
from consumer.jobs import reconcile, reindex, retry_failed
from consumer.worker import app as worker
from core.errors import DependencyUnavailable
from core.runtime.logging import configure_logs
from core.settings import load

COMMANDS: tuple[Command[Any], ...] = (
    indexer.COMMAND,
    queue_exporter.COMMAND,
    reconcile.COMMAND,
    retry_failed.COMMAND,
    reindex.COMMAND,
)


def main() -> int:
    arguments = parser().parse_args()
    command: Command[Any] = arguments.command
    settings = load(command.settings)
    configure_logs(settings.log_level, settings.log_format, command.name)
    try:
        return uvloop.run(command.run(settings, arguments))
    except (DependencyUnavailable, OSError) as error:
        sys.stderr.write(f"{error}\n")
    except BotoCoreError as error:
        # A failed call raises DependencyUnavailable, so this is the SDK's own configuration: no region, no credentials.
        sys.stderr.write(f"AWS: {error}\n")
    return 1


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Exit with status 2 after one line, without the usage of every option."""
        self.exit(2, f"{self.prog}: {message}\n")


def parser() -> argparse.ArgumentParser:
    root = _Parser(prog="consumer", description=__doc__)
    root.set_defaults(command=worker.COMMAND)
    commands = root.add_subparsers(title="commands", metavar="COMMAND")
    for command in COMMANDS:
        sub = commands.add_parser(
            command.name, aliases=command.aliases, help=command.help, description=command.help
        )
        command.add_arguments(sub)
        sub.set_defaults(command=command)
    return root


if __name__ == "__main__":
    sys.exit(main())
