"""MiniStack as a child: `python -m cli.local.emulator PORT`, in embedded_aws.environment(PORT)."""

import asyncio
import sys

from hypercorn.asyncio import serve
from hypercorn.config import Config
from ministack import app as gateway

from cli.local.embedded_aws import HOST

# A long poll that nobody awaits any more must not hold up the end of the process.
GRACEFUL_SECONDS = 1.0


def main(arguments: list[str]) -> None:
    """Serve until SIGTERM. After kill -9, MiniStack's own entry point would leave a pid file."""
    config = Config()
    config.bind = [f"{HOST}:{int(arguments[0])}"]
    config.keep_alive_timeout = 75
    config.graceful_timeout = GRACEFUL_SECONDS
    config.loglevel = "ERROR"
    # The application is looked up now, so that the test suite can put its recorder around it.
    asyncio.run(serve(gateway.app, config))


if __name__ == "__main__":
    main(sys.argv[1:])
