"""A server in the process of the test."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from cli.local.stack import StackOutputs
from core.aws.client import Aws
from core.aws.sqs import SqsQueue
from core.dynamodb.statements import Statements
from core.dynamodb.tables import Tables
from harness.grpc_client import connect
from imageservice.v1 import image_service_pb2_grpc
from server.app import Server
from server.settings import ServerSettings

T = TypeVar("T", bound=Tables)
S = TypeVar("S", bound=SqsQueue)


@dataclass(frozen=True, slots=True)
class RunningServer:
    lifecycle: Server
    port: int
    stub: "image_service_pb2_grpc.ImageServiceAsyncStub"

    async def stop(self) -> None:
        """Drain, and close the port as the end of a process would. A second call has no effect on clients."""
        await self.lifecycle.drain()
        await self.lifecycle.grpc_server.stop(1)


@dataclass(frozen=True, slots=True)
class ServerFactory:
    """Starts servers on one stack; `aws` calls in the server's role."""

    aws: Aws
    stack: StackOutputs

    @asynccontextmanager
    async def running(
        self,
        *,
        tables: Tables | None = None,
        sender: SqsQueue | None = None,
        bulk_sender: SqsQueue | None = None,
        **settings: Any,
    ) -> AsyncIterator[RunningServer]:
        """Run a server. It drains at the end of the block. `settings` are fields of ServerSettings.

        Without `bulk_sender` it has one lane.
        """
        lifecycle = Server(
            self.settings(**settings),
            tables or self.tables(Tables),
            sender or self.sender(SqsQueue),
            bulk_sender,
        )
        port = await lifecycle.start()
        async with connect(port) as stub:
            running = RunningServer(lifecycle, port, stub)
            try:
                yield running
            finally:
                await running.stop()

    def settings(self, **settings: Any) -> ServerSettings:
        return ServerSettings(
            **{
                "requests_table": self.stack.requests_table,
                "images_table": self.stack.images_table,
                "queue_url": self.stack.queue_url,
                "public_base_url": self.stack.public_base_url,
                "grpc_address": "127.0.0.1:0",
                "watch_shortest_interval_s": 0.05,
                "drain_delay_s": 0,
                **settings,
            }
        )

    def tables(self, kind: type[T]) -> T:
        statements = Statements(self.stack.requests_table, self.stack.images_table)
        return kind(self.aws.http.dynamodb, statements)

    def sender(self, kind: type[S]) -> S:
        return kind(self.aws.http.sqs, self.stack.queue_url)

    def bulk_sender(self) -> SqsQueue:
        return SqsQueue(self.aws.http.sqs, self.stack.bulk_queue_url)
