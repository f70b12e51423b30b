"""Benchmark of what Redis changes: how late a watch's news are, and how many rows an answer costs.

The benchmark plays the consumer: what the null AWS says to be COMPLETED it tells Redis at once, document and news
together. A consumer reads the row in between, which is one more call to AWS.
"""

import asyncio
import time
import uuid
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

import grpc

from core.model.image import ImageMetadata, ImageRecord, Provenance
from core.model.request import ImageRequest, State, image_id_of, payload_hash
from core.redis.codec import Completed
from core.redis.completed_requests import CompletedRequestStore, ended
from core.redis.connection import RedisConnection
from core.runtime.clock import now_ms
from imageservice.v1 import image_service_pb2 as pb
from imageservice.v1 import image_service_pb2_grpc
from loadtest.bench import goals
from loadtest.bench.benchmark import NULL, Benchmark, Figure, Trial
from loadtest.bench.benchmarks.submitting import Target, server
from loadtest.bench.benchmarks.watching import News, figures, rows_read, watch_round
from loadtest.bench.system.backend import NullControl, backend
from loadtest.bench.system.process import BenchFailed
from loadtest.bench.system.redis import redis

ASKED = 200
"""Requests whose state is asked for, each TIMES times."""
TIMES = 5
_REVISION = 2
_TTL_S = 600
_QUIET_S = 0.5
_LOOKS = 20
_NOTHING_KEPT = {"CACHED_REQUESTS": "0"}


@dataclass(frozen=True, slots=True)
class Asked:
    """`rows` are rows read a call; `median` is the time of a call in milliseconds."""

    rows: float
    median: float


def _completed(request_id: str) -> Completed:
    now, url = now_ms(), "http://origin.example/1.jpg"
    digest = "0" * 64
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
    picture = ImageMetadata(
        format="JPEG",
        media_type="image/jpeg",
        width=640,
        height=480,
        mode="RGB",
        frames=1,
        bytes=20_000,
        sha256=digest,
        source_sha256=digest,
        perceptual_hash="0" * 16,
        dominant_color="#336699",
        capture_time="",
        camera="",
        had_location=False,
    )
    image = ImageRecord(
        image_id=image_id_of(request_id),
        request_id=request_id,
        customer_id="bench",
        s3_url="s3://bucket/images/aa/bench/a.jpg",
        created_at=now,
        picture=picture,
        provenance=Provenance(final_url=url),
    )
    return Completed(request, image)


@dataclass(frozen=True, slots=True)
class Consumer:
    """What a consumer does to Redis."""

    shared: CompletedRequestStore

    async def tell(self, request_ids: Sequence[str]) -> None:
        await self.shared.tell([ended(each, _REVISION, _completed(each)) for each in request_ids])


async def _settled(null: NullControl) -> int:
    """Rows read so far, once nobody reads any more: the watches before are not to be counted. Raises BenchFailed."""
    rows = await rows_read(null)
    for _ in range(_LOOKS):
        await asyncio.sleep(_QUIET_S)
        before, rows = rows, await rows_read(null)
        if rows == before:
            return rows
    raise BenchFailed("servers that nobody asks anything go on reading")


async def _asked(target: Target, null: NullControl, consumer: Consumer | None) -> Asked:
    """Ask for the state of requests that have completed, one call after the other."""
    ids = [str(uuid.uuid4()) for _ in range(ASKED)]
    await null.complete(ids)
    if consumer is not None:
        await consumer.tell(ids)
    rows, times = await _settled(null), []
    async with grpc.aio.insecure_channel(target.address) as channel:
        stub = image_service_pb2_grpc.ImageServiceStub(channel)
        for each in ids * TIMES:
            began = time.perf_counter()
            await stub.GetStatus(pb.GetStatusRequest(request_id=each))
            times.append(time.perf_counter() - began)
    rows = await rows_read(null) - rows
    return Asked(rows / len(times), sorted(times)[len(times) // 2] * 1_000)


async def _run(trial: Trial) -> list[Figure]:
    """With and without Redis in turns, on the same AWS."""
    watched: dict[str, list[News]] = {"polling": [], "Redis": []}
    asked: dict[str, list[Asked]] = {"no cache": [], "memory": [], "Redis alone": []}
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        aws, url = await enter(backend(trial)), await enter(redis())
        shared = CompletedRequestStore(RedisConnection(url), aws.stack["REQUESTS_TABLE"], _TTL_S)
        stack.push_async_callback(shared.close)
        consumer, null = Consumer(shared), NullControl(aws.endpoint)
        with_redis = aws.with_settings(REDIS_URL=url)
        polls = await enter(server("server", aws))
        hears = await enter(server("server", with_redis))
        forgets = await enter(server("server", aws.with_settings(**_NOTHING_KEPT)))
        looks_up = await enter(server("server", with_redis.with_settings(**_NOTHING_KEPT)))
        for _ in range(trial.rounds):
            watched["polling"].append(await watch_round(polls, null, trial.seconds))
            watched["Redis"].append(await watch_round(hears, null, trial.seconds, consumer.tell))
            asked["no cache"].append(await _asked(forgets, null, None))
            asked["memory"].append(await _asked(polls, null, None))
            asked["Redis alone"].append(await _asked(looks_up, null, consumer))
    return [
        *figures("watch by Redis", watched["Redis"], goals.PUSHED_P99),
        *figures("watch by polling", watched["polling"]),
        *(figure for how, each in asked.items() for figure in _asked_figures(how, each)),
    ]


def _asked_figures(how: str, rounds: Sequence[Asked]) -> list[Figure]:
    note = f"each request {TIMES} times"
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
