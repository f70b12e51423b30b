"""A worker without its poller: a test gives it one message at a time, and may stop it before a step."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from pathlib import Path
from typing import Any
from unittest.mock import patch

from cli.local.stack import StackOutputs
from consumer.byte_budget import ByteBudget
from consumer.clients import Clients, open_clients
from consumer.fetching.fetcher import Fetcher
from consumer.imaging.policy import ImagePolicy
from consumer.imaging.result import RENDITIONS_BYTES_MAX
from consumer.sandbox.decode_pool import DecodePool, open_decode_pool
from consumer.settings import ConsumerSettings
from consumer.worker.app import fetch_policy
from consumer.worker.decoder import Decoder
from consumer.worker.handler import MessageHandler
from consumer.worker.journal import DeathCounter, Journal, JournalFolder
from consumer.worker.pipeline import Pipeline
from consumer.worker.receive_queue import ReceiveQueue
from consumer.worker.renditions import RenditionPublisher
from consumer.worker.retry_policy import RetryPolicy
from consumer.worker.reuse import ImageReuse
from consumer.worker.storage import ImageStorage
from core.dynamodb.statements import Statement
from core.dynamodb.tables import Tables
from core.model.rendition import Presets
from core.model.request import ImageRequest


class Step(Enum):
    """A call to AWS before which a worker can be stopped."""

    STORE = auto()
    RECORD = auto()
    END = auto()
    READ_ROW = auto()
    """A first delivery reads the row only after it has lost."""


@dataclass(slots=True)
class Gate:
    """Stops a worker before `step`, if there is one, until it is opened."""

    step: Step | None = None
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    _opened: asyncio.Event = field(default_factory=asyncio.Event)

    def open(self) -> None:
        self.step = None
        self._opened.set()

    async def move(self, step: Step) -> None:
        """Let the worker continue, and wait until it stops before a later step."""
        opened = self._opened
        self.step, self.reached, self._opened = step, asyncio.Event(), asyncio.Event()
        opened.set()
        await self.reached.wait()

    async def wait(self, step: Step) -> None:
        if step is self.step:
            opened = self._opened
            self.reached.set()
            await opened.wait()


class GatedTables(Tables):
    gate: Gate

    async def write(self, statement: Statement) -> None:
        recording = statement.key[0] == self.statements.images_table
        await self.gate.wait(Step.RECORD if recording else Step.END)
        await super().write(statement)

    async def read_request(self, request_id: str) -> ImageRequest | None:
        await self.gate.wait(Step.READ_ROW)
        return await super().read_request(request_id)


class GatedStorage(ImageStorage):
    gate: Gate

    async def store(self, body: bytes, **members: Any) -> str:
        await self.gate.wait(Step.STORE)
        return await super().store(body, **members)


@dataclass(frozen=True, slots=True)
class MessageWorker:
    clients: Clients
    gate: Gate
    _queue: ReceiveQueue
    _handler: MessageHandler

    async def handle_next(self) -> None:
        """Receive one message of any lane, and handle it as a worker does."""
        for lane in itertools.cycle(self._queue.lanes):
            if messages := await self._queue.receive(1, wait=1, lane=lane):
                (message,) = messages
                await self._handler.handle(message)
                return


@asynccontextmanager
async def message_worker(
    environment: Mapping[str, str], stack: StackOutputs
) -> AsyncIterator[MessageWorker]:
    """Open a worker on a stack. `environment` is that of its role, with further settings."""
    variables = {
        **stack.environment(),
        "CUSTOMER_TAG_KEY": "a key of the test suite",
        "ALLOWED_NETWORKS": "127.0.0.1/32",
        **environment,
    }
    with patch.dict("os.environ", variables):
        settings = ConsumerSettings()  # type: ignore[call-arg]  # read from the environment
        async with _open_decode_pool(settings) as decoder, open_clients(settings) as clients:
            gate = Gate()
            aws = clients.aws
            tables = GatedTables(
                aws.http.dynamodb, clients.tables.statements, renditions=bool(settings.presets)
            )
            storage = GatedStorage(aws.http.bucket(settings.bucket), settings.bucket, b"a key")
            tables.gate = storage.gate = gate
            fetcher = Fetcher(fetch_policy(settings))
            try:
                worker = replace(clients, tables=tables)
                yield _worker(worker, gate, fetcher, decoder, storage, presets=settings.presets)
            finally:
                gate.open()
                await fetcher.close()


def _open_decode_pool(settings: ConsumerSettings) -> AbstractAsyncContextManager[DecodePool]:
    return open_decode_pool(
        ImagePolicy(presets=settings.presets),
        decoders=1,
        budget_bytes=settings.decode_budget_bytes,
        cpu_limit_s=20,
    )


def _worker(
    clients: Clients,
    gate: Gate,
    fetcher: Fetcher,
    decoder: Decoder,
    storage: ImageStorage,
    *,
    presets: Presets,
) -> MessageWorker:
    queue, policy = ReceiveQueue(clients.queue, clients.bulk_queue), RetryPolicy(3)
    renditions = RenditionPublisher(
        presets=presets,
        decoder=decoder,
        storage=storage,
        tables=clients.tables,
        budget=ByteBudget(RENDITIONS_BYTES_MAX),
        reserve_body=fetcher.reserve,
    )
    pipeline = Pipeline(
        fetcher=fetcher,
        decoder=decoder,
        storage=storage,
        renditions=renditions,
        reuse=ImageReuse(clients.tables, storage, rules="", reserve_body=fetcher.reserve),
        tables=clients.tables,
        retry_policy=policy,
    )
    handler = MessageHandler(
        queue=queue,
        pipeline=pipeline,
        renditions=renditions,
        tables=clients.tables,
        notifier=clients.notifier,
        retry_policy=policy,
        deaths=DeathCounter(clients.tables, JournalFolder(Path("none")), Journal()),
        max_deaths=2,
    )
    return MessageWorker(clients, gate, queue, handler)
