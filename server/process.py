"""One process that serves gRPC, from its start to its drain."""

import asyncio
import signal
import sys

import uvloop
from botocore.exceptions import BotoCoreError

from core.aws import open_aws
from core.garbage import settle_garbage_collection
from core.pulse import Pulse
from core.queue_sender import QueueSender
from core.statements import Statements
from core.tables import Tables
from server.lifecycle import Lifecycle
from server.port import CannotListen
from server.settings import ServerSettings
from server.tether import Tether


def run(settings: ServerSettings, pulse: Pulse, parent: Tether | None = None) -> None:
    """Serve until SIGTERM or SIGINT, then drain; where that cannot begin, exit with its reason.

    With a `parent`, the process is one of several on a port that the parent has reserved.
    """
    try:
        uvloop.run(_serve(settings, pulse, parent))
    except CannotListen as error:
        sys.exit(str(error))
    except BotoCoreError as error:
        # Calls end as DependencyUnavailable, so this is about the SDK's own settings: no region, no credentials.
        sys.exit(f"AWS: {error}")


async def _serve(settings: ServerSettings, pulse: Pulse, parent: Tether | None) -> None:
    stop = _stop_on_signal(second_ends=parent is None)
    beating = asyncio.create_task(pulse.run(), name="pulse")
    async with open_aws() as aws:
        statements = Statements(
            settings.requests_table, settings.images_table, shards=settings.customer_shards
        )
        tables = Tables(aws.dynamodb, aws.wire.dynamodb, statements, settings.batching)
        sender = QueueSender(aws.wire.sqs, settings.queue_url, batching=settings.batching)
        lifecycle = Lifecycle(settings, tables, sender, shares_port=parent is not None)
        await lifecycle.open()
        settle_garbage_collection()
        if parent is not None:
            parent.say_serving()
        await stop.wait()
        await lifecycle.drain()
    beating.cancel()


def _stop_on_signal(*, second_ends: bool) -> asyncio.Event:
    """Set by the first SIGTERM or SIGINT; a second one finds the system's own handler and ends the process.

    Not so in a worker: an init system may signal every process of a service, and then the parent passes it on.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def first() -> None:
        stop.set()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, first if second_ends else stop.set)
    return stop
