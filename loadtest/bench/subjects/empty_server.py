"""The server that the real one is compared with: SubmitImage does nothing.

It uses the library, event loop, contract and channel arguments of `python -m server`, so its cost is the part of the
real server's that no design can avoid. It listens on GRPC_ADDRESS.
"""

import asyncio
import os
import signal
from typing import Any

import grpc
import uvloop
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1.health import aio as health

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
"""Those defaults of server/grpc_server.py that affect the cost of a call."""


class EmptyService(ImageServiceServicer):
    async def SubmitImage(  # noqa: N802  the contract names the method
        self,
        request: pb.SubmitImageRequest,  # noqa: ARG002  gRPC decodes it, and the handler ignores it
        context: grpc.aio.ServicerContext[Any, Any],  # noqa: ARG002  required by the interface
    ) -> pb.SubmitImageResponse:
        return pb.SubmitImageResponse(
            request_id="00000000-0000-4000-8000-000000000000", state=pb.STATE_PENDING, revision=1
        )


async def serve(address: str) -> None:
    """Serve until SIGINT or SIGTERM."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    server = grpc.aio.server(options=OPTIONS)
    add_ImageServiceServicer_to_server(EmptyService(), server)  # type: ignore[abstract]  # no other RPC is called
    health_pb2_grpc.add_HealthServicer_to_server(health.HealthServicer(), server)
    server.add_insecure_port(address)
    await server.start()
    # The real server does this too. Without it, its saving would count as a difference of design.
    freeze_gc()
    await stop.wait()
    await server.stop(1)


if __name__ == "__main__":
    uvloop.run(serve(os.environ["GRPC_ADDRESS"]))
