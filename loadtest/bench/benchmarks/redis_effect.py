"""Benchmark of the effect of Redis on event latency of a watch, and on rows read per GetStatus.

The benchmark acts as the consumer: it publishes each completion to Redis at once, cached request and event together. A
real consumer reads the row first, which is one more call to AWS.
"""

import asyncio
import time
import uuid
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

import grpc

from core.model.image import ImageMetadata, ImageRecord, Provenance, image_id_of
from core.model.request import ImageRequest, State, payload_hash
from core.redis.codec import CompletedRequest
from core.redis.completed_requests import CompletedRequestStore, ended_event
from core.redis.connection import RedisConnection
from core.runtime.clock import now_ms
from imageservice.v1 import image_service_pb2 as pb
from imageservice.v1 import image_service_pb2_grpc
from loadtest.bench import thresholds
from loadtest.bench.benchmark import NULL, Benchmark, Figure, Trial
from loadtest.bench.benchmarks.watch_load import WatchRound, figures, rows_read, watch_round
from loadtest.bench.system.backend import NullControl, backend
from loadtest.bench.system.process import BenchFailed
from loadtest.bench.system.services import redis
from loadtest.bench.system.stages import Stage, server_stage

REQUESTS = 200
"""Requests per round, each read CALLS_EACH times."""
CALLS_EACH = 5
_REVISION = 2
_TTL_S = 600
_QUIET_S = 0.5
_MAX_POLLS = 20
_NO_CACHE = {"CACHED_REQUESTS": "0"}
_METADATA = ImageMetadata(
    format="JPEG",
    media_type="image/jpeg",
    width=640,
    height=480,
    mode="RGB",
    frames=1,
    bytes=20_000,
    sha256="0" * 64,
    source_sha256="0" * 64,
    perceptual_hash="0" * 16,
    dominant_color="#336699",
    capture_time="",
    camera="",
    had_location=False,
)


@dataclass(frozen=True, slots=True)
class StatusRound:
    """`rows` are rows read per call; `median` is the duration of a call in milliseconds."""

    rows: float
    median: float


def _completed(request_id: str) -> CompletedRequest:
    now, url = now_ms(), "http://origin.example/1.jpg"
    request = ImageRequest(
        request_id=request_id,
        customer_id="bench",
        origin_url=url,
        payload_hash=payload_hash("bench", url, {}),
        created_at=now,
        updated_at=now,
        state=State.COMPLETED,
        revision=_REVISION,
        image_id=image_id_of(request_id),
    )
    image = ImageRecord(
        image_id=image_id_of(request_id),
        request_id=request_id,
        customer_id="bench",
        s3_url="s3://bucket/images/aa/bench/a.jpg",
        created_at=now,
        metadata=_METADATA,
        provenance=Provenance(final_url=url),
    )
    return CompletedRequest(request, image)


@dataclass(frozen=True, slots=True)
class Publisher:
    """Publishes completions as a consumer does."""

    shared: CompletedRequestStore

    async def publish(self, request_ids: Sequence[str]) -> None:
        await self.shared.publish(
            [ended_event(each, _REVISION, _completed(each)) for each in request_ids]
        )


async def _settled(null: NullControl) -> int:
    """Wait until the servers have stopped polling, and return the rows read so far. Raises BenchFailed."""
    rows = await rows_read(null)
    for _ in range(_MAX_POLLS):
        await asyncio.sleep(_QUIET_S)
        before, rows = rows, await rows_read(null)
        if rows == before:
            return rows
    raise BenchFailed("servers without clients still read rows")


async def _read_statuses(
    server: Stage, null: NullControl, publisher: Publisher | None
) -> StatusRound:
    """Read the status of completed requests, one call after the other."""
    ids = [str(uuid.uuid4()) for _ in range(REQUESTS)]
    await null.complete(ids)
    if publisher is not None:
        await publisher.publish(ids)
    rows, times = await _settled(null), []
    async with grpc.aio.insecure_channel(server.address) as channel:
        stub = image_service_pb2_grpc.ImageServiceStub(channel)
        for each in ids * CALLS_EACH:
            began = time.perf_counter()
            await stub.GetStatus(pb.GetStatusRequest(request_id=each))
            times.append(time.perf_counter() - began)
    rows = await rows_read(null) - rows
    return StatusRound(rows / len(times), sorted(times)[len(times) // 2] * 1_000)


async def _run(trial: Trial) -> list[Figure]:
    """Measure with and without Redis alternately, on the same AWS."""
    watched: dict[str, list[WatchRound]] = {"polling": [], "Redis": []}
    statuses: dict[str, list[StatusRound]] = {"no cache": [], "memory": [], "Redis alone": []}
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        aws, url = await enter(backend(trial)), await enter(redis())
        shared = CompletedRequestStore(RedisConnection(url), aws.stack["REQUESTS_TABLE"], _TTL_S)
        stack.push_async_callback(shared.close)
        publisher, null = Publisher(shared), NullControl(aws.endpoint)
        with_redis = aws.with_settings(REDIS_URL=url)
        polling = await enter(server_stage(aws))
        subscribed = await enter(server_stage(with_redis))
        uncached = await enter(server_stage(aws.with_settings(**_NO_CACHE)))
        redis_only = await enter(server_stage(with_redis.with_settings(**_NO_CACHE)))
        for _ in range(trial.rounds):
            watched["polling"].append(await watch_round(polling, null, trial.seconds))
            watched["Redis"].append(
                await watch_round(subscribed, null, trial.seconds, publisher.publish)
            )
            statuses["no cache"].append(await _read_statuses(uncached, null, None))
            statuses["memory"].append(await _read_statuses(polling, null, None))
            statuses["Redis alone"].append(await _read_statuses(redis_only, null, publisher))
    return [
        *figures("watch by Redis", watched["Redis"], thresholds.PUSHED_P99),
        *figures("watch by polling", watched["polling"]),
        *(figure for how, each in statuses.items() for figure in _status_figures(how, each)),
    ]


def _status_figures(how: str, rounds: Sequence[StatusRound]) -> list[Figure]:
    note = f"each request {CALLS_EACH} times"
    return [
        Figure(
            f"GetStatus of COMPLETED, {how}: rows read per call",
            "",
            tuple(each.rows for each in rounds),
            note=note,
        ),
        Figure(f"GetStatus of COMPLETED, {how}: p50", "ms", tuple(each.median for each in rounds)),
    ]


REDIS = Benchmark("redis", "Redis between consumers and servers", (NULL,), _run)
