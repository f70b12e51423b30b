"""Keep a fixed number of images in flight (closed loop). Runs as a separate process.

    python -m loadtest.bench.load.generator --address A --pid P [--shape unary|bulk] [--in-flight 200] [--seconds 5]

After a warm-up it counts acknowledgements for a time and reads the CPU time of the server (process P) at both ends. It
writes one line of JSON. Any response other than an acknowledgement ends it with an error.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable
from dataclasses import asdict, dataclass
from functools import partial
from itertools import count

import grpc
import uvloop

from imageservice.v1 import image_service_pb2 as pb
from imageservice.v1 import image_service_pb2_grpc
from loadtest.bench.load.unary_client import UnaryClient, grpc_message, request_headers
from loadtest.bench.system.process import cpu_seconds

CONNECTIONS = 4
WARM_UP_S = 1.0
_IMAGE = pb.SubmitImageRequest(
    url="http://127.0.0.1:8000/pictures/rocket-progressive.jpg?n=1234567", customer_id="bench"
)
_SUBMIT_IMAGE = "/imageservice.v1.ImageService/SubmitImage"


@dataclass(frozen=True, slots=True)
class Load:
    """The measurement between the two readings. CPU is in seconds; `own_cpu` is the generator's."""

    images: int
    seconds: float
    server_cpu: float
    own_cpu: float


class Generator:
    def __init__(self, address: str) -> None:
        self._address = address
        self._clients: list[UnaryClient] = []
        self._received = 0

    @property
    def answered(self) -> int:
        """The number of accepted images."""
        return self._received + sum(client.answered for client in self._clients)

    async def unary(self, in_flight: int) -> None:
        """Keep `in_flight` unary calls in flight over all connections. Ends only with an error."""
        loop = asyncio.get_running_loop()
        failure = loop.create_future()

        def failed(reason: str) -> None:
            if not failure.done():
                failure.set_exception(RuntimeError(reason))

        host, _, port = self._address.rpartition(":")
        headers = request_headers(_SUBMIT_IMAGE, self._address)
        message = grpc_message(_IMAGE.SerializeToString())
        for _ in range(CONNECTIONS):
            client = UnaryClient(headers, message, in_flight // CONNECTIONS, failed)
            self._clients.append(client)
            await loop.create_connection(partial(_return, client), host, int(port))
        await failure

    async def bulk(self, in_flight: int) -> None:
        """Keep `in_flight` items in flight, on one stream per connection. Ends only with an error."""
        async with asyncio.TaskGroup() as group:
            for _ in range(CONNECTIONS):
                group.create_task(self._stream(in_flight // CONNECTIONS))

    async def _stream(self, window: int) -> None:
        room = asyncio.Semaphore(window)
        options = [("grpc.use_local_subchannel_pool", 1)]
        async with grpc.aio.insecure_channel(self._address, options=options) as channel:
            stub = image_service_pb2_grpc.ImageServiceStub(channel)
            async for response in stub.SubmitImages(_items(room)):
                for result in response.results:
                    if result.HasField("error"):
                        raise RuntimeError(f"refused: {result.error.reason}")
                    self._received += 1
                    room.release()

    async def measure(self, load: Awaitable[None], pid: int, seconds: float) -> Load:
        driver = asyncio.ensure_future(load)
        try:
            await _run_for(driver, WARM_UP_S)
            before, began = self.answered, time.perf_counter()
            server, own = cpu_seconds(pid), time.process_time()
            await _run_for(driver, seconds)
            return Load(
                images=self.answered - before,
                seconds=time.perf_counter() - began,
                server_cpu=cpu_seconds(pid) - server,
                own_cpu=time.process_time() - own,
            )
        finally:
            driver.cancel()
            await asyncio.wait({driver})


def _return(client: UnaryClient) -> UnaryClient:
    return client


async def _items(room: asyncio.Semaphore) -> AsyncIterator[pb.SubmitImagesRequest]:
    for number in count():
        await room.acquire()
        yield pb.SubmitImagesRequest(item_id=str(number), image=_IMAGE)


async def _run_for(driver: asyncio.Future[None], seconds: float) -> None:
    done, _ = await asyncio.wait({driver}, timeout=seconds)
    for each in done:
        each.result()


async def run(address: str, pid: int, shape: str, in_flight: int, seconds: float) -> Load:
    generator = Generator(address)
    drive = generator.unary if shape == "unary" else generator.bulk
    return await generator.measure(drive(in_flight), pid, seconds)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m loadtest.bench.load.generator")
    parser.add_argument("--address", required=True)
    parser.add_argument("--pid", type=int, required=True, help="of the server")
    parser.add_argument("--shape", choices=("unary", "bulk"), default="unary")
    parser.add_argument("--in-flight", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=5.0)
    given = parser.parse_args()
    load = uvloop.run(run(given.address, given.pid, given.shape, given.in_flight, given.seconds))
    sys.stdout.write(json.dumps(asdict(load)) + "\n")


if __name__ == "__main__":
    main()
