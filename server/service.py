"""The RPCs: parse and validate the message, call the component, convert the result."""

from typing import Any

from grpc.aio import ServicerContext

from core.model.rendition import Presets
from imageservice.v1 import image_service_pb2 as pb
from imageservice.v1.image_service_pb2_grpc import ImageServiceServicer
from server.converters import to_submit_response
from server.listing.lister import Lister
from server.listing.request import parse_list_images, parse_list_requests
from server.metrics import MethodMetrics
from server.renditions.creator import RenditionCreator
from server.rpc_middleware import RpcMiddleware
from server.search.request import parse_search
from server.search.searcher import Searcher
from server.status.reader import ImageReader, StatusReader
from server.submit.admission import SubmitAdmission
from server.submit.stream import SubmitStreams
from server.validation import (
    parse_create_renditions,
    parse_image_id,
    parse_request_id,
    parse_submit,
    parse_watch,
)
from server.watch.watcher import Watcher

Context = ServicerContext[Any, Any]

_METHODS = pb.DESCRIPTOR.services_by_name["ImageService"].methods_by_name
_SUBMIT_IMAGE = MethodMetrics(_METHODS["SubmitImage"])
_SUBMIT_IMAGES = MethodMetrics(_METHODS["SubmitImages"])
_GET_STATUS = MethodMetrics(_METHODS["GetStatus"])
_WATCH_REQUEST = MethodMetrics(_METHODS["WatchRequest"])
_LIST_REQUESTS = MethodMetrics(_METHODS["ListRequests"])
_GET_IMAGE = MethodMetrics(_METHODS["GetImage"])
_LIST_IMAGES = MethodMetrics(_METHODS["ListImages"])
_SEARCH_IMAGES = MethodMetrics(_METHODS["SearchImages"])
_CREATE_RENDITIONS = MethodMetrics(_METHODS["CreateRenditions"])

# ruff: noqa: N802  the contract names the methods


class ImageService(ImageServiceServicer):
    def __init__(
        self,
        *,
        middleware: RpcMiddleware,
        admission: SubmitAdmission,
        streams: SubmitStreams,
        statuses: StatusReader,
        watcher: Watcher,
        images: ImageReader,
        lister: Lister,
        searcher: Searcher,
        renditions: RenditionCreator,
        presets: Presets,
    ) -> None:
        self._middleware = middleware
        self._admission = admission
        self._streams = streams
        self._statuses = statuses
        self._watcher = watcher
        self._images = images
        self._lister = lister
        self._searcher = searcher
        self._renditions = renditions
        self._presets = presets

    async def SubmitImage(
        self, message: pb.SubmitImageRequest, context: Context
    ) -> pb.SubmitImageResponse:
        return await self._middleware.run(_SUBMIT_IMAGE, context, self._submit(message))

    # A coroutine that uses the context: an iterator of messages would cost one more call for each message.
    async def SubmitImages(  # type: ignore[override]  # the stub only knows generators; grpc.aio accepts both
        self, _messages: object, context: Context
    ) -> None:
        await self._middleware.run(_SUBMIT_IMAGES, context, self._streams.serve(context))

    async def GetStatus(
        self, message: pb.GetStatusRequest, context: Context
    ) -> pb.GetStatusResponse:
        return await self._middleware.run(_GET_STATUS, context, self._status(message))

    # A coroutine, not a generator: a generator that is cancelled between two states is only closed when it is
    # garbage-collected. A coroutine unsubscribes at once.
    async def WatchRequest(  # type: ignore[override]  # the stub only knows generators; grpc.aio accepts both
        self, message: pb.WatchRequestRequest, context: Context
    ) -> None:
        await self._middleware.run(_WATCH_REQUEST, context, self._watch(message, context))

    async def ListRequests(
        self, message: pb.ListRequestsRequest, context: Context
    ) -> pb.ListRequestsResponse:
        return await self._middleware.run(_LIST_REQUESTS, context, self._list_requests(message))

    async def GetImage(self, message: pb.GetImageRequest, context: Context) -> pb.GetImageResponse:
        return await self._middleware.run(_GET_IMAGE, context, self._image(message))

    async def ListImages(
        self, message: pb.ListImagesRequest, context: Context
    ) -> pb.ListImagesResponse:
        return await self._middleware.run(_LIST_IMAGES, context, self._list_images(message))

    async def SearchImages(
        self, message: pb.SearchImagesRequest, context: Context
    ) -> pb.SearchImagesResponse:
        return await self._middleware.run(_SEARCH_IMAGES, context, self._search(message))

    async def CreateRenditions(
        self, message: pb.CreateRenditionsRequest, context: Context
    ) -> pb.CreateRenditionsResponse:
        return await self._middleware.run(
            _CREATE_RENDITIONS, context, self._create_renditions(message)
        )

    async def _submit(self, message: pb.SubmitImageRequest) -> pb.SubmitImageResponse:
        request = parse_submit(message, self._presets)
        answer = self._admission.submit(request, bulk=message.lane == pb.LANE_BULK)
        return to_submit_response(await answer)

    async def _status(self, message: pb.GetStatusRequest) -> pb.GetStatusResponse:
        status = await self._statuses.read(parse_request_id(message))
        return pb.GetStatusResponse(request=status.message)

    async def _watch(self, message: pb.WatchRequestRequest, context: Context) -> None:
        async with self._watcher.subscribe(parse_watch(message)) as subscription:
            while (status := await subscription.next_status()) is not None:
                await context.write(pb.WatchRequestResponse(request=status.message))

    async def _list_requests(self, message: pb.ListRequestsRequest) -> pb.ListRequestsResponse:
        return await self._lister.list_requests(parse_list_requests(message))

    async def _image(self, message: pb.GetImageRequest) -> pb.GetImageResponse:
        return pb.GetImageResponse(image=await self._images.read(parse_image_id(message)))

    async def _list_images(self, message: pb.ListImagesRequest) -> pb.ListImagesResponse:
        return await self._lister.list_images(parse_list_images(message))

    async def _search(self, message: pb.SearchImagesRequest) -> pb.SearchImagesResponse:
        return await self._searcher.search(parse_search(message))

    async def _create_renditions(
        self, message: pb.CreateRenditionsRequest
    ) -> pb.CreateRenditionsResponse:
        return await self._renditions.create(*parse_create_renditions(message, self._presets))
