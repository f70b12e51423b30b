"""The gRPC server process: build, serve, drain."""

import asyncio
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import NoReturn

import grpc
import structlog
import uvloop
from botocore.exceptions import BotoCoreError
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import SERVICE_NAME as HEALTH
from grpc_health.v1.health import aio as health
from grpc_reflection.v1alpha import reflection

from core.aws.client import Aws, open_aws
from core.aws.sqs import SqsQueue
from core.dynamodb.statements import Statements
from core.dynamodb.tables import Tables
from core.redis.completed_requests import open_completed_requests
from core.runtime.event_loop_monitor import EventLoopMonitor
from core.runtime.gc_tuning import freeze_gc
from core.runtime.metrics import initialise_aws_calls
from core.runtime.parent_watch import ParentWatch
from core.runtime.signals import exit_at_once, kill_process, run_until_signal
from core.search.engine import open_reader
from imageservice.v1 import image_service_pb2 as pb
from imageservice.v1.image_service_pb2_grpc import add_ImageServiceServicer_to_server
from server.capacity import Capacity
from server.grpc_server import listen, server_options
from server.lanes.rate import open_rate
from server.lanes.selector import LaneSelector
from server.listing.lister import Lister, RowLoader
from server.port import CannotListen
from server.renditions.creator import RenditionCreator
from server.rpc_middleware import RpcMiddleware
from server.search.searcher import ImageLoader, Searcher
from server.service import ImageService
from server.settings import ServerSettings
from server.status.cache import CompletedCache
from server.status.reader import ImageReader, StatusReader
from server.submit.admission import SubmitAdmission
from server.submit.stream import SubmitStreams
from server.watch.redis_subscriber import RequestEventSubscriber
from server.watch.schedule import PollIntervals
from server.watch.watcher import Watcher

_log = structlog.get_logger()

SERVICE = pb.DESCRIPTOR.services_by_name["ImageService"].full_name

_STREAMS_SHARE = 0.5
"""Share of DRAIN_GRACE_S in which the server waits for the end of streams and still serves unary calls."""
_LAST_CALLS_S = 1.0
"""Longest time in which the calls that gRPC has queued are rejected at the end of a drain."""
_QUIET_POLL_S = 0.002
_QUIET_POLLS = 5
"""Polls in a row without a new call, after which gRPC has no call in its queue. It hands a queued call over within a
millisecond after the last one. Each call that arrives meanwhile is rejected, so the polls must not take long."""


class Server:
    """Call `start` once, then `drain` once. `shares_port`: several processes serve a port that the parent reserved.

    `grpc_server` still serves after the drain, until the process ends.
    """

    def __init__(
        self,
        settings: ServerSettings,
        tables: Tables,
        sender: SqsQueue,
        bulk_sender: SqsQueue | None = None,
        *,
        shares_port: bool = False,
    ) -> None:
        self._settings = settings
        self._shares_port = shares_port
        self._tables = tables
        self._completed_store = open_completed_requests(settings)
        self._search_reader = open_reader(settings) if settings.search_url is not None else None
        self._middleware = RpcMiddleware()
        self._rate = open_rate(settings, self._completed_store)
        self._lanes = LaneSelector(sender, bulk_sender, self._rate)
        self._submits = Capacity(
            "submits", settings.max_pending_submits, reserve=settings.reserved_submits
        )
        self._admission = SubmitAdmission(tables, self._lanes, self._submits)
        self._streams = SubmitStreams(
            self._admission,
            self._middleware.report,
            presets=settings.presets,
            max_open=settings.max_stream_submits,
        )
        self._statuses = self._status_reader()
        self.watcher = self._request_watcher()
        self._background: list[asyncio.Task[None]] = []
        self._health = health.HealthServicer()
        self.grpc_server = self._grpc_server()

    async def start(self) -> int:
        """Start to serve. Returns the port. Raises CannotListen."""
        port = await listen(
            self.grpc_server, self._settings.grpc_address, shares_port=self._shares_port
        )
        await self.grpc_server.start()
        self._background.append(asyncio.create_task(self.watcher.run(), name="watcher"))
        if self._completed_store is not None:
            subscriber = RequestEventSubscriber(self._completed_store, self.watcher.refresh_now)
            self._background.append(asyncio.create_task(subscriber.run(), name="subscriber"))
        await self._health.set(SERVICE, health_pb2.HealthCheckResponse.SERVING)
        _log.info("serving", address=self._settings.grpc_address, port=port)
        return port

    async def drain(self) -> None:
        """Shut down gracefully: become unready, end the streams, reject calls, finish what was accepted.

        Then end the process. It does not stop `grpc_server`: gRPC would cancel the calls that are on their way
        (docs/adr/0013). The end of the process closes their connections instead.
        """
        await self._health.enter_graceful_shutdown()
        _log.info("draining", delay_s=self._settings.drain_delay_s)
        await asyncio.sleep(self._settings.drain_delay_s)
        end = asyncio.get_running_loop().time() + self._settings.drain_grace_s
        await self._end_streams(self._settings.drain_grace_s * _STREAMS_SHARE)
        self._middleware.reject_all()
        try:
            async with asyncio.timeout_at(end):
                await self._wait_idle()
        except TimeoutError:
            _log.warning("drain timed out", calls_in_flight=self._middleware.unary.count)
        for task in self._background:
            task.cancel()
        if self._background:
            await asyncio.wait(self._background, timeout=_LAST_CALLS_S)
        await self._wait_quiet()
        await self._rate.close()
        if self._completed_store is not None:
            await self._completed_store.close()
        if self._search_reader is not None:
            await self._search_reader.close()
        _log.info("drained")

    async def _end_streams(self, seconds: float) -> None:
        """End the streams. Meanwhile unary calls are served: many clients have no connection to another server.

        One client that does not read its results keeps its stream open, for at most `seconds` here.
        """
        self._middleware.reject_streams()
        self._streams.begin_drain()
        self.watcher.begin_drain()
        try:
            async with asyncio.timeout(seconds):
                await self._middleware.streams.wait_idle()
        except TimeoutError:
            _log.warning("streams cut off by the drain", streams=self._middleware.streams.count)

    async def _wait_idle(self) -> None:
        await self._admission.wait_idle()
        await self._tables.drain()
        await self._lanes.drain()
        await self._middleware.unary.wait_idle()

    async def _wait_quiet(self) -> None:
        """Wait until gRPC has no call in its queue, or until it has had time to hand over a long queue."""
        polls = 0
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_CALLS_S):
                while polls < _QUIET_POLLS:
                    rejected = self._middleware.rejected
                    await asyncio.sleep(_QUIET_POLL_S)
                    polls = polls + 1 if self._middleware.rejected == rejected else 0

    def _grpc_server(self) -> grpc.aio.Server:
        server = grpc.aio.server(
            options=server_options(self._settings, shares_port=self._shares_port)
        )
        add_ImageServiceServicer_to_server(self._service(), server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        reflection.enable_server_reflection((SERVICE, HEALTH, reflection.SERVICE_NAME), server)
        return server

    def _status_reader(self) -> StatusReader:
        settings = self._settings
        return StatusReader(
            self._tables,
            settings.public_base_url,
            CompletedCache(settings.cached_requests, settings.cached_request_age_s),
            self._completed_store,
        )

    def _request_watcher(self) -> Watcher:
        settings = self._settings
        return Watcher(
            self._tables,
            self._statuses,
            PollIntervals(settings.watch_shortest_interval_s, settings.watch_longest_interval_s),
            max_watched=settings.max_watched_requests,
        )

    def _service(self) -> ImageService:
        settings, tables = self._settings, self._tables
        base_url = settings.public_base_url
        return ImageService(
            middleware=self._middleware,
            admission=self._admission,
            streams=self._streams,
            statuses=self._statuses,
            watcher=self.watcher,
            images=ImageReader(tables, base_url),
            lister=Lister(
                tables,
                RowLoader(tables, base_url),
                shards=settings.customer_shards,
                max_calls=settings.max_listings,
            ),
            searcher=Searcher(
                self._search_reader, ImageLoader(tables, base_url), max_calls=settings.max_searches
            ),
            renditions=RenditionCreator(
                tables, self._lanes, self._submits, settings.presets, base_url
            ),
            presets=settings.presets,
        )


def run(
    settings: ServerSettings,
    monitor: EventLoopMonitor,
    parent: ParentWatch | None = None,
    at_exit: Callable[[], None] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, drain, call `at_exit`, and end the process.

    If the start fails, exit with the reason. With a `parent`, the process is one of several workers on a port that the
    parent has reserved.
    """
    try:
        uvloop.run(_serve(settings, monitor, parent, at_exit))
    except CannotListen as error:
        sys.exit(str(error))
    except BotoCoreError as error:
        # Calls raise DependencyUnavailable, so this is about the SDK's own settings: no region, no credentials.
        sys.exit(f"AWS: {error}")


async def _serve(
    settings: ServerSettings,
    monitor: EventLoopMonitor,
    parent: ParentWatch | None,
    at_exit: Callable[[], None] | None,
) -> int:
    stop = asyncio.Event()
    # A worker ignores a second signal: an init system may signal every process of a service, and the parent forwards
    # its own signal.
    return await run_until_signal(
        _serve_until(stop, settings, monitor, parent, at_exit),
        stop=stop.set,
        kill=kill_process if parent is None else None,
    )


async def _serve_until(
    stop: asyncio.Event,
    settings: ServerSettings,
    monitor: EventLoopMonitor,
    parent: ParentWatch | None,
    at_exit: Callable[[], None] | None,
) -> NoReturn:
    monitoring = asyncio.create_task(monitor.run(), name="event loop monitor")
    async with open_aws() as aws:
        initialise_aws_calls(
            "dynamodb:BatchExecuteStatement",
            "dynamodb:BatchGetItem",
            "dynamodb:Query",
            "sqs:SendMessageBatch",
            batches=("sqs sends",),
        )
        server = _open_server(settings, aws, shares_port=parent is not None)
        await server.start()
        freeze_gc()
        if parent is not None:
            parent.notify_serving()
        await stop.wait()
        await server.drain()
    monitoring.cancel()
    if at_exit is not None:
        at_exit()
    # Not by returning: the end of the event loop and the destructor of the gRPC server would cancel calls.
    exit_at_once(0)


def _open_server(settings: ServerSettings, aws: Aws, *, shares_port: bool) -> Server:
    statements = Statements(
        settings.requests_table, settings.images_table, shards=settings.customer_shards
    )
    tables = Tables(
        aws.http.dynamodb,
        statements,
        settings.batching,
        renditions=settings.renditions_file is not None,
    )
    open_queue = partial(SqsQueue, aws.http.sqs, batching=settings.batching)
    bulk = settings.bulk_queue_url
    return Server(
        settings,
        tables,
        open_queue(settings.queue_url),
        None if bulk is None else open_queue(bulk),
        shares_port=shares_port,
    )
