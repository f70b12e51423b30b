"""Submits of the customers, and the times of their requests."""

import asyncio
import itertools
import statistics
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass

import grpc

from harness.grpc_client import outcome_name
from harness.system import System
from imageservice.v1 import image_service_pb2 as pb

_PAUSE_S = 1.0
"""Between two images of the customer whose times are measured."""
_LIST_PAGE = 1_000


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds from accepted to ended, by request, of a customer's images. `codes` counts their outcomes."""

    seconds: tuple[float, ...]
    codes: dict[str, int]

    def __add__(self, other: "Times") -> "Times":
        codes = Counter(self.codes) + Counter(other.codes)
        return Times(self.seconds + other.seconds, dict(codes))

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def worst(self) -> float:
        return max(self.seconds)


async def submit_stream(running: System, customer: str, urls: Sequence[str]) -> list[str]:
    """Submit all URLs over one stream. Return their request ids. Fails if one is not accepted."""
    ids = [str(uuid.uuid4()) for _ in urls]

    async def items() -> AsyncIterator[pb.SubmitImagesRequest]:
        for request_id, url in zip(ids, urls, strict=True):
            image = pb.SubmitImageRequest(url=url, customer_id=customer, request_id=request_id)
            yield pb.SubmitImagesRequest(item_id=request_id, image=image)

    accepted = 0
    async with running.stub() as stub:
        async for response in stub.SubmitImages(items()):
            for result in response.results:
                if result.WhichOneof("outcome") != "accepted":
                    raise AssertionError(f"not accepted: {result.error}")
                accepted += 1
    assert accepted == len(urls), f"{accepted} of {len(urls)} accepted"
    return ids


async def measure(
    running: System, customer: str, urls: Iterable[str], *, pause: float = _PAUSE_S
) -> Times:
    """Submit one URL after another with a pause, wait for all, and return the times that their rows tell."""
    ids = []
    async with running.stub() as stub:
        for url in urls:
            accepted = await stub.SubmitImage(
                pb.SubmitImageRequest(url=url, customer_id=customer), timeout=60
            )
            ids.append(accepted.request_id)
            await asyncio.sleep(pause)
    ended = await running.wait_terminal(ids, seconds=3_600)
    return Times(tuple(map(seconds_of, ended.values())), outcomes(ended.values()))


def seconds_of(request: pb.ImageRequest) -> float:
    """Return the seconds from accepted to ended: the server's clock and the consumer's are the same here."""
    return float((request.update_time.ToNanoseconds() - request.create_time.ToNanoseconds()) / 1e9)


def outcomes(requests: Iterable[pb.ImageRequest]) -> dict[str, int]:
    """Count requests by state, FAILED ones by code."""
    return dict(Counter(map(outcome_name, requests)))


async def count_outcomes(running: System, customer: str) -> dict[str, int]:
    """Count all requests of a customer by outcome."""
    counted: Counter[str] = Counter()
    token = ""
    options = (("grpc.max_receive_message_length", -1),)
    async with grpc.aio.insecure_channel(running.address, options=options) as channel:
        call = channel.unary_unary(
            "/imageservice.v1.ImageService/ListRequests",
            request_serializer=pb.ListRequestsRequest.SerializeToString,
            response_deserializer=pb.ListRequestsResponse.FromString,
        )
        while True:
            page: pb.ListRequestsResponse = await call(
                pb.ListRequestsRequest(
                    customer_id=customer, page_size=_LIST_PAGE, page_token=token
                ),
                timeout=60,
            )
            counted.update(outcomes(page.requests))
            token = page.next_page_token
            if not token:
                return dict(counted)


async def wait_ended(running: System, customer: str, total: int, *, seconds: float) -> bool:
    """Wait until none of the customer's requests is PENDING; returns False after `seconds`."""
    try:
        async with asyncio.timeout(seconds):
            while True:
                counted = await count_outcomes(running, customer)
                if sum(counted.values()) == total and not counted.get("PENDING"):
                    return True
                await asyncio.sleep(_PAUSE_S)
    except TimeoutError:
        return False


def numbered(hosts: Sequence[str], port: int, count: int) -> list[str]:
    """Return `count` URLs that take turns over `hosts`."""
    return [
        f"http://{host}:{port}/n/{number}"
        for number, host in zip(range(count), itertools.cycle(hosts), strict=False)
    ]
