"""The server from its first call to its last."""

import asyncio
import sys

import grpc
import structlog
import uvloop
from botocore.exceptions import BotoCoreError
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import SERVICE_NAME as HEALTH
from grpc_health.v1.health import aio as health
from grpc_reflection.v1alpha import reflection

from core.aws.client import open_aws
from core.aws.sqs import SqsQueue
from core.dynamodb.statements import Statements
from core.dynamodb.tables import Tables
from core.redis.completed_requests import open_completed_requests
from core.runtime.event_loop_monitor import EventLoopMonitor
from core.runtime.gc_tuning import freeze_gc
from core.runtime.parent_watch import ParentWatch
from core.runtime.signals import run_until_signal
from core.search.engine import SearchReader, open_reader
from imageservice.v1 import image_service_pb2 as pb
from imageservice.v1.image_service_pb2_grpc import add_ImageServiceServicer_to_server
from server.grpc_server import listen, listener_options
from server.listing.lister import Lister, Rows
from server.port import CannotListen
from server.rpc_middleware import Calls
from server.search.searcher import ImageLoader, Searches
from server.service import ImageService
from server.settings import ServerSettings
from server.status.cache import CompletedCache
from server.status.reader import ImageReader, StatusReader
from server.submit.admission import SubmitAdmission
from server.submit.stream import SubmitStreams
from server.watch.redis_subscriber import RequestEventSubscriber
from server.watch.schedule import WatchSchedule
from server.watch.watcher import Watcher

log = structlog.get_logger()

SERVICE = pb.DESCRIPTOR.services_by_name["ImageService"].full_name

_LAST_CALLS_S = 1.0
"""Time for what is still open when all of our own calls are answered: health watches, reflection streams."""


class Server:
    """`open` once, `drain` once. `shares_port`: it is one of several processes on a port reserved for them."""

    def __init__(
        self,
        settings: ServerSettings,
        tables: Tables,
        sender: SqsQueue,
        *,
        shares_port: bool = False,
    ) -> None:
        self._settings = settings
        self._shares_port = shares_port
        self._tables = tables
        self._sender = sender
        self._calls = Calls()
        self._submissions = SubmitAdmission(
            tables, sender, max_pending=settings.max_pending_submits
        )
        self._streams = SubmitStreams(
            self._submissions, self._calls.failure, max_open=settings.max_stream_submits
        )
        self._shared = open_completed_requests(settings)
        self._search = open_reader(settings) if settings.search_url is not None else None
        statuses = StatusReader(
            tables,
            settings.public_base_url,
            CompletedCache(settings.cached_requests, settings.cached_request_age_s),
            self._shared,
        )
        self.watcher = _watcher(settings, tables, statuses)
        self._background: list[asyncio.Task[None]] = []
        self._health = health.HealthServicer()
        self._server = grpc.aio.server(options=listener_options(settings, shares_port=shares_port))
        service = ImageService(
            submissions=self._submissions,
            streams=self._streams,
            statuses=statuses,
            watcher=self.watcher,
            images=ImageReader(tables, settings.public_base_url),
            listings=_listings(settings, tables),
            searches=_searches(settings, tables, self._search),
            calls=self._calls,
        )
        add_ImageServiceServicer_to_server(service, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection.enable_server_reflection(
            (SERVICE, HEALTH, reflection.SERVICE_NAME), self._server
        )

    async def open(self) -> int:
        """Start to serve; returns the port. Raises CannotListen."""
        port = await listen(
            self._server, self._settings.grpc_address, shares_port=self._shares_port
        )
        await self._server.start()
        self._background.append(asyncio.create_task(self.watcher.run(), name="watcher"))
        if self._shared is not None:
            feed = RequestEventSubscriber(self._shared, self.watcher.hasten)
            self._background.append(asyncio.create_task(feed.run(), name="news feed"))
        await self._health.set(SERVICE, health_pb2.HealthCheckResponse.SERVING)
        log.info("serving", address=self._settings.grpc_address, port=port)
        return port

    async def drain(self) -> None:
        """Stop without losing what was begun: unready, unwilling, done, closed."""
        await self._health.enter_graceful_shutdown()
        log.info("draining", delay_s=self._settings.drain_delay_s)
        await asyncio.sleep(self._settings.drain_delay_s)
        self._streams.close()
        self._submissions.close()
        self.watcher.close()
        try:
            async with asyncio.timeout(self._settings.drain_grace_s):
                await self._finish()
        except TimeoutError:
            log.warning("calls are cut off", under_way=self._calls.under_way)
        for task in self._background:
            task.cancel()
        if self._background:
            await asyncio.wait(self._background, timeout=_LAST_CALLS_S)
        # `stop` cancels what its grace leaves over, but does not wait for handlers by itself.
        await self._server.stop(_LAST_CALLS_S)
        if self._shared is not None:
            await self._shared.close()
        if self._search is not None:
            await self._search.close()
        log.info("drained")

    async def _finish(self) -> None:
        # What was taken comes first: a client that does not read its stream's results holds up nothing but its answer.
        await self._submissions.settled()
        await self._tables.drain()
        await self._sender.drain()
        await self._calls.settled()


def _watcher(settings: ServerSettings, tables: Tables, statuses: StatusReader) -> Watcher:
    schedule = WatchSchedule(settings.watch_shortest_interval_s, settings.watch_longest_interval_s)
    return Watcher(tables, statuses, schedule, max_watched=settings.max_watched_requests)


def _searches(settings: ServerSettings, tables: Tables, reader: SearchReader | None) -> Searches:
    images = ImageLoader(tables, settings.public_base_url)
    return Searches(reader, images, max_open=settings.max_searches)


def _listings(settings: ServerSettings, tables: Tables) -> Lister:
    rows = Rows(tables, settings.public_base_url)
    return Lister(tables, rows, shards=settings.customer_shards, max_open=settings.max_listings)


# One process that serves gRPC, from its start to its drain.


def run(
    settings: ServerSettings, pulse: EventLoopMonitor, parent: ParentWatch | None = None
) -> None:
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


async def _serve(
    settings: ServerSettings, pulse: EventLoopMonitor, parent: ParentWatch | None
) -> int:
    stop = asyncio.Event()
    # A worker ignores a second signal: an init system may signal every process of a service, and then the parent
    # passes its own signal on.
    return await run_until_signal(
        _serve_until(stop, settings, pulse, parent),
        stop=stop.set,
        second_signal_kills=parent is None,
    )


async def _serve_until(
    stop: asyncio.Event,
    settings: ServerSettings,
    pulse: EventLoopMonitor,
    parent: ParentWatch | None,
) -> int:
    beating = asyncio.create_task(pulse.run(), name="pulse")
    async with open_aws() as aws:
        statements = Statements(
            settings.requests_table, settings.images_table, shards=settings.customer_shards
        )
        tables = Tables(aws.dynamodb, aws.wire.dynamodb, statements, settings.batching)
        sender = SqsQueue(aws.wire.sqs, settings.queue_url, batching=settings.batching)
        lifecycle = Server(settings, tables, sender, shares_port=parent is not None)
        await lifecycle.open()
        freeze_gc()
        if parent is not None:
            parent.notify_serving()
        await stop.wait()
        await lifecycle.drain()
    beating.cancel()
    return 0
