"""`python -m consumer`: work on the queue until SIGTERM.

`reconcile` and `redrive` are the operator's commands, `queue-exporter` tells Prometheus of the queues.
"""

import argparse
import asyncio
import contextlib
import signal
import sys
from collections.abc import Coroutine
from typing import Any

import structlog
import uvloop
from botocore.exceptions import BotoCoreError

from consumer import queue_exporter, reconcile, redrive
from consumer.assembly import open_stores, open_workplace
from consumer.heartbeat import beat
from consumer.loop import Loop
from consumer.settings import ConsumerSettings
from core.errors import DependencyUnavailable
from core.garbage import settle_garbage_collection
from core.logs import configure_logs
from core.metrics import serve_metrics
from core.pulse import Pulse
from core.settings import load

_log = structlog.get_logger()


def main() -> int:
    arguments = _parser().parse_args()
    try:
        return uvloop.run(_work(arguments))
    except (DependencyUnavailable, OSError) as error:
        sys.stderr.write(f"{error}\n")
    except BotoCoreError as error:
        # Calls end as DependencyUnavailable, so this is about the SDK's own settings: no region, no credentials.
        sys.stderr.write(f"AWS: {error}\n")
    return 1


def _work(arguments: argparse.Namespace) -> Coroutine[Any, Any, int]:
    if arguments.command == queue_exporter.COMMAND:
        exporter = load(queue_exporter.QueueExporterSettings)
        configure_logs(exporter.log_level, exporter.log_format, queue_exporter.COMMAND)
        return queue_exporter.run(exporter)
    settings = load(ConsumerSettings)
    configure_logs(settings.log_level, settings.log_format, "consumer")
    if arguments.command is None:
        return _consume(settings)
    # Both may be cut short anywhere. Without a handler of its own, the first process of a container ignores the signal.
    signal.signal(signal.SIGTERM, _end)
    command = {"reconcile": reconcile.run, "redrive": redrive.run}[arguments.command]
    return command(settings, arguments)


def _end(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="consumer", description=__doc__)
    commands = parser.add_subparsers(dest="command")
    reconcile.add_parser(commands)
    redrive.add_parser(commands)
    commands.add_parser(queue_exporter.COMMAND, help="tell Prometheus how full the queues are")
    return parser


async def _consume(settings: ConsumerSettings) -> int:
    async with open_stores(settings) as stores, open_workplace(settings, stores) as workplace:
        loop = Loop(
            workplace.inbox,
            workplace.worker,
            concurrency=settings.concurrency,
            receive_wait=settings.receive_wait_s,
            drain_grace=settings.drain_grace_s,
        )
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, loop.stop)
        timeout = await workplace.inbox.visibility_timeout()
        heartbeat = asyncio.create_task(beat(workplace.inbox, timeout))
        # It ends only by a fault; without it others would be given what is held here.
        heartbeat.add_done_callback(lambda _: loop.stop())
        pulse = Pulse()
        beating = asyncio.create_task(pulse.run(), name="pulse")
        # Last, because a scrape that answers says that this consumer is at work.
        serve_metrics(settings.metrics_host, settings.metrics_port, pulse.alive)
        settle_garbage_collection()
        _log.info("consuming", queue=settings.queue_url, concurrency=settings.concurrency)
        try:
            await loop.run()
        finally:
            beating.cancel()
            heartbeat.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await heartbeat
    _log.info("drained")
    return 0


if __name__ == "__main__":
    sys.exit(main())
