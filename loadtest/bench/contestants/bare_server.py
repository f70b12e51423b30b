"""Servers to compare with: the same library, event loop, contract and channel arguments as `python -m server`.

    python -m loadtest.bench.contestants.bare_server empty|single --address 127.0.0.1:50052

empty     SubmitImage does nothing: the floor under every figure of the real one
single    one PutItem and one SendMessage of the SDK a request: the design as first drawn, less validation and metrics
"""

import argparse
import asyncio
import os
import signal
import uuid
from contextlib import AsyncExitStack
from typing import Any

import grpc
import uvloop
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1.health import aio as health

from core.aws.client import Aws, open_aws
from core.dynamodb import schema
from core.model.message import first_message
from core.model.request import new_request
from core.runtime.clock import now_ms
from core.runtime.gc_tuning import freeze_gc
from imageservice.v1 import image_service_pb2 as pb
from imageservice.v1.image_service_pb2_grpc import (
    ImageServiceServicer,
    add_ImageServiceServicer_to_server,
)

OPTIONS = [
    ("grpc.so_reuseport", 0),
    ("grpc.max_concurrent_streams", 10_000),
    ("grpc.server.max_pending_requests", 20_000),
    ("grpc.server.max_pending_requests_hard_limit", 20_000),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
]
"""As in server/grpc_server.py by default, where they matter to a call's cost."""

_SHARDS = 8

Context = grpc.aio.ServicerContext[Any, Any]

# ruff: noqa: N802  the contract names the methods


class Empty(ImageServiceServicer):
    async def SubmitImage(
        self,
        request: pb.SubmitImageRequest,  # noqa: ARG002  decoded, and that is all
        context: Context,  # noqa: ARG002
    ) -> pb.SubmitImageResponse:
        return pb.SubmitImageResponse(
            request_id="00000000-0000-4000-8000-000000000000", state=pb.STATE_PENDING, revision=1
        )


class Single(ImageServiceServicer):
    def __init__(self, aws: Aws, table: str, queue_url: str) -> None:
        self._aws = aws
        self._table = table
        self._queue_url = queue_url

    async def SubmitImage(
        self,
        request: pb.SubmitImageRequest,
        context: Context,  # noqa: ARG002
    ) -> pb.SubmitImageResponse:
        accepted = new_request(
            request_id=str(uuid.uuid4()),
            customer_id=request.customer_id,
            url=request.url,
            labels=request.labels,
            now=now_ms(),
        )
        await self._aws.dynamodb.put_item(
            TableName=self._table,
            Item=schema.new_request_item(accepted, shards=_SHARDS),
            ConditionExpression=f"attribute_not_exists({schema.REQUEST_ID})",
        )
        await self._aws.sqs.send_message(
            QueueUrl=self._queue_url, MessageBody=first_message(accepted).encode()
        )
        return pb.SubmitImageResponse(
            request_id=accepted.request_id, state=pb.STATE_PENDING, revision=accepted.revision
        )


async def serve(kind: str, address: str) -> None:
    """Serve until SIGINT or SIGTERM."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        service: ImageServiceServicer = Empty()  # type: ignore[abstract]  # it is asked nothing else
        if kind == "single":
            aws = await stack.enter_async_context(open_aws())
            service = Single(  # type: ignore[abstract]  # as above
                aws, os.environ["REQUESTS_TABLE"], os.environ["QUEUE_URL"]
            )
        server = grpc.aio.server(options=OPTIONS)
        add_ImageServiceServicer_to_server(service, server)
        health_pb2_grpc.add_HealthServicer_to_server(health.HealthServicer(), server)
        server.add_insecure_port(address)
        await server.start()
        # As the real one does: what it saves is no merit of what is compared.
        freeze_gc()
        await stop.wait()
        await server.stop(1)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m loadtest.bench.contestants.bare_server")
    parser.add_argument("kind", choices=("empty", "single"))
    parser.add_argument("--address", required=True)
    given = parser.parse_args()
    uvloop.run(serve(given.kind, given.address))


if __name__ == "__main__":
    main()
