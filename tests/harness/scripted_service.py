"""A gRPC server whose responses come from the test, for tests of clients."""

import asyncio
import math
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc.aio import ServicerContext
from grpc_status import rpc_status

from imageservice.v1 import image_service_pb2 as pb
from imageservice.v1.image_service_pb2_grpc import (
    ImageServiceServicer,
    add_ImageServiceServicer_to_server,
)

Context = ServicerContext[Any, Any]

# ruff: noqa: N802  the contract names the methods


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error with google.rpc details; without details, an error as a proxy returns it."""

    code: grpc.StatusCode
    message: str
    details: tuple[Message, ...] = ()

    async def abort(self, context: Context) -> None:
        if not self.details:
            await context.abort(self.code, self.message)
        status = status_pb2.Status(code=self.code.value[0], message=self.message)
        for detail in self.details:
            packed = Packed()
            packed.Pack(detail)
            status.details.append(packed)
        await context.abort_with_status(rpc_status.to_status(status))


def item_error(refusal: Refusal) -> pb.SubmitImagesError:
    """Return the error of one item in a stream."""
    error = pb.SubmitImagesError(code=refusal.code.value[0], message=refusal.message)
    for detail in refusal.details:
        match detail:
            case error_details_pb2.ErrorInfo():
                error.reason = detail.reason
            case error_details_pb2.RetryInfo():
                error.retry_delay.CopyFrom(detail.retry_delay)
            case error_details_pb2.BadRequest():
                for each in detail.field_violations:
                    error.field_violations.add(
                        field=f"image.{each.field}", description=each.description
                    )
    return error


def overloaded(retry_after_ms: int = 0) -> Refusal:
    retry = error_details_pb2.RetryInfo()
    retry.retry_delay.FromMilliseconds(retry_after_ms)
    info = error_details_pb2.ErrorInfo(reason="OVERLOADED", domain="imageservice")
    return Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "Too many calls.", (info, retry))


def draining() -> Refusal:
    info = error_details_pb2.ErrorInfo(reason="SERVER_DRAINING", domain="imageservice")
    return Refusal(grpc.StatusCode.UNAVAILABLE, "The server is about to end.", (info,))


def cancelled() -> Refusal:
    """Return what gRPC itself answers to a queued call when its server stops."""
    return Refusal(grpc.StatusCode.CANCELLED, "CANCELLED")


def invalid(name: str, description: str) -> Refusal:
    bad = error_details_pb2.BadRequest()
    bad.field_violations.add(field=name, description=description)
    info = error_details_pb2.ErrorInfo(reason="INVALID_REQUEST", domain="imageservice")
    return Refusal(grpc.StatusCode.INVALID_ARGUMENT, "Broken message.", (info, bad))


@dataclass
class ScriptedService(ImageServiceServicer):
    """A submit of a URL gets its `refusals` in turn, and is then accepted. So does GetStatus of its request.

    Each watch gets the next of `watches`. After the last one, a watch gets the `final_states` of its requests.
    """

    refusals: dict[str, list[Refusal]] = field(default_factory=dict)
    final_states: dict[str, pb.ImageRequest] = field(default_factory=dict)
    """The final state of a request by URL; COMPLETED by default."""
    streams: list[tuple[int, Refusal | None]] = field(default_factory=list)
    """For each stream of submits: the number of items with a result, and the error after one more item (None: OK)."""
    opened: int = 0
    """Number of streams of submits."""
    watches: list[tuple[list[pb.ImageRequest], Refusal]] = field(default_factory=list)
    pages: list[pb.ListRequestsResponse | Refusal] = field(default_factory=list)
    """The responses of lists, in turn."""
    listed: list[pb.ListRequestsRequest] = field(default_factory=list)
    images: dict[str, pb.Image] = field(default_factory=dict)
    found: list[pb.SearchImagesResponse | Refusal] = field(default_factory=list)
    """The responses of searches, in turn."""
    searched: list[pb.SearchImagesRequest] = field(default_factory=list)
    submitted: dict[str, str] = field(default_factory=dict)
    """URL by request id."""
    labels: dict[str, dict[str, str]] = field(default_factory=dict)
    """Labels by request id."""
    submits: Counter[str] = field(default_factory=Counter)
    """Number of submits by URL."""
    watched: list[list[str]] = field(default_factory=list)
    watching: asyncio.Event = field(default_factory=asyncio.Event)
    """Set after the first watch has begun."""
    watches_released: asyncio.Event | None = None
    """Watches send nothing before it is set."""
    most_at_once: int = 0
    _at_once: int = 0

    async def SubmitImage(
        self, request: pb.SubmitImageRequest, context: Context
    ) -> pb.SubmitImageResponse:
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            self.submits[request.url] += 1
            if refusals := self.refusals.get(request.url):
                await refusals.pop(0).abort(context)
        finally:
            self._at_once -= 1
        return self._accept(request)

    async def SubmitImages(
        self, requests: AsyncIterator[pb.SubmitImagesRequest], context: Context
    ) -> AsyncIterator[pb.SubmitImagesResponse]:
        self.opened += 1
        answers, end = self.streams.pop(0) if self.streams else (math.inf, None)
        async for item in requests:
            self.submits[item.image.url] += 1
            result = pb.SubmitImagesResult(item_id=item.item_id)
            if refusals := self.refusals.get(item.image.url):
                result.error.CopyFrom(item_error(refusals.pop(0)))
            else:
                result.accepted.CopyFrom(self._accept(item.image))
            if not answers:
                if end is not None:
                    await end.abort(context)
                return
            answers -= 1
            yield pb.SubmitImagesResponse(results=[result])

    def _accept(self, request: pb.SubmitImageRequest) -> pb.SubmitImageResponse:
        known = request.request_id in self.submitted
        self.submitted[request.request_id] = request.url
        self.labels[request.request_id] = dict(request.labels)
        state = self._end(request.request_id).state if known else pb.STATE_PENDING
        return pb.SubmitImageResponse(request_id=request.request_id, state=state, revision=1)

    async def GetStatus(
        self, request: pb.GetStatusRequest, context: Context
    ) -> pb.GetStatusResponse:
        if request.request_id not in self.submitted:
            info = error_details_pb2.ErrorInfo(reason="REQUEST_NOT_FOUND", domain="imageservice")
            await Refusal(grpc.StatusCode.NOT_FOUND, "No such request.", (info,)).abort(context)
        if refusals := self.refusals.get(self.submitted[request.request_id]):
            await refusals.pop(0).abort(context)
        return pb.GetStatusResponse(request=self._end(request.request_id))

    async def WatchRequest(
        self, request: pb.WatchRequestRequest, context: Context
    ) -> AsyncIterator[pb.WatchRequestResponse]:
        self.watched.append(list(request.request_ids))
        self.watching.set()
        if self.watches_released is not None:
            await self.watches_released.wait()
        if self.watches:
            requests, refusal = self.watches.pop(0)
            for state in requests:
                yield pb.WatchRequestResponse(request=state)
            await refusal.abort(context)
        for request_id in request.request_ids:
            yield pb.WatchRequestResponse(request=self._end(request_id))

    async def ListRequests(
        self, request: pb.ListRequestsRequest, context: Context
    ) -> pb.ListRequestsResponse:
        self.listed.append(request)
        page = self.pages.pop(0)
        if isinstance(page, pb.ListRequestsResponse):
            return page
        await page.abort(context)
        raise AssertionError("abort ends the call")

    async def CreateRenditions(
        self, request: pb.CreateRenditionsRequest, _context: Context
    ) -> pb.CreateRenditionsResponse:
        made = {each.preset: each for each in self.images[request.image_id].renditions}
        return pb.CreateRenditionsResponse(
            renditions=[made[name] for name in request.presets if name in made],
            pending=[name for name in request.presets if name not in made],
        )

    async def GetImage(self, request: pb.GetImageRequest, _context: Context) -> pb.GetImageResponse:
        return pb.GetImageResponse(image=self.images[request.image_id])

    async def ListImages(
        self, request: pb.ListImagesRequest, context: Context
    ) -> pb.ListImagesResponse:
        raise NotImplementedError

    async def SearchImages(
        self, request: pb.SearchImagesRequest, context: Context
    ) -> pb.SearchImagesResponse:
        self.searched.append(request)
        page = self.found.pop(0)
        if isinstance(page, pb.SearchImagesResponse):
            return page
        await page.abort(context)
        raise AssertionError("abort ends the call")

    def _end(self, request_id: str) -> pb.ImageRequest:
        url = self.submitted.get(request_id, "")
        end = self.final_states.get(url) or completed(url)
        ended = pb.ImageRequest()
        ended.CopyFrom(end)
        ended.request_id = request_id
        return ended


def completed(url: str, request_id: str = "") -> pb.ImageRequest:
    request = pb.ImageRequest(request_id=request_id, url=url, state=pb.STATE_COMPLETED, revision=2)
    request.image.public_url = "http://cdn/images/aa/tag/0123.png"
    request.image.metadata.format = "PNG"
    request.image.metadata.bytes = 5_000_000_000
    return request


def failed(url: str, request_id: str = "") -> pb.ImageRequest:
    request = pb.ImageRequest(request_id=request_id, url=url, state=pb.STATE_FAILED, revision=2)
    request.failure.code = pb.FAILURE_CODE_NOT_FOUND
    request.failure.message = "Nothing there"
    request.failure.attempts = 1
    return request


@asynccontextmanager
async def serve(service: ImageServiceServicer) -> AsyncIterator[str]:
    """Serve in this process; yield the address."""
    server = grpc.aio.server()
    add_ImageServiceServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)
