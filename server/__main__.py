"""`python -m server`: the gRPC front door."""

import asyncio
import signal
import sys

import uvloop
from botocore.exceptions import BotoCoreError

from core.aws import open_aws
from core.logs import configure_logs
from core.metrics import serve_metrics
from core.queue_sender import QueueSender
from core.settings import load
from core.statements import Statements
from core.tables import Tables
from server.lifecycle import Lifecycle
from server.listener import CannotListen
from server.settings import ServerSettings


def main() -> None:
    settings = load(ServerSettings)
    configure_logs(settings.log_level, settings.log_format, "server")
    try:
        serve_metrics(settings.metrics_host, settings.metrics_port)
    except OSError as error:
        sys.exit(f"METRICS_PORT: {error}")
    try:
        uvloop.run(_serve(settings))
    except CannotListen as error:
        sys.exit(str(error))
    except BotoCoreError as error:
        # Calls end as DependencyUnavailable, so this is about the SDK's own settings: no region, no credentials.
        sys.exit(f"AWS: {error}")


async def _serve(settings: ServerSettings) -> None:
    stop = _stop_on_signal()
    async with open_aws() as aws:
        statements = Statements(
            settings.requests_table, settings.images_table, shards=settings.customer_shards
        )
        tables = Tables(aws.dynamodb, statements)
        lifecycle = Lifecycle(settings, tables, QueueSender(aws.sqs, settings.queue_url))
        await lifecycle.open()
        await stop.wait()
        await lifecycle.drain()


def _stop_on_signal() -> asyncio.Event:
    """Set by the first SIGTERM or SIGINT; the second finds the system's own handler and ends the process."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def first() -> None:
        stop.set()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, first)
    return stop


if __name__ == "__main__":
    main()
