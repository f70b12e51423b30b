"""The RPCs: validate, hand on, translate."""

from typing import Any

from grpc.aio import ServicerContext

from imageservice.v1 import image_service_pb2 as pb
from imageservice.v1.image_service_pb2_grpc import ImageServiceServicer
from server.converters import submit_response
from server.listing.lister import Lister
from server.listing.request import parse_list_images, parse_list_requests
from server.metrics import MethodMetrics
from server.rpc_middleware import Calls
from server.search.request import parse_search
from server.search.searcher import Searches
from server.status.reader import ImageReader, StatusReader
from server.submit.admission import SubmitAdmission, new_image_request
from server.submit.stream import SubmitStreams
from server.validation import valid_image_id, valid_request_id, valid_submit, valid_watch
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

# ruff: noqa: N802  the contract names the methods


class ImageService(ImageServiceServicer):
    def __init__(
        self,
        *,
        submissions: SubmitAdmission,
        streams: SubmitStreams,
        statuses: StatusReader,
        watcher: Watcher,
        images: ImageReader,
        listings: Lister,
        searches: Searches,
        calls: Calls,
    ) -> None:
        self._submissions = submissions
        self._streams = streams
        self._statuses = statuses
        self._watcher = watcher
        self._images = images
        self._listings = listings
        self._searches = searches
        self._calls = calls

    async def SubmitImage(
        self, request: pb.SubmitImageRequest, context: Context
    ) -> pb.SubmitImageResponse:
        return await self._calls.answer(_SUBMIT_IMAGE, context, self._submit(request))

    # A coroutine that reads and writes by the context: an iterator of requests adds a call for each message.
    async def SubmitImages(  # type: ignore[override]  # the stub knows generators only; grpc.aio takes both
        self, _requests: object, context: Context
    ) -> None:
        await self._calls.answer(_SUBMIT_IMAGES, context, self._streams.serve(context))

    async def GetStatus(
        self, request: pb.GetStatusRequest, context: Context
    ) -> pb.GetStatusResponse:
        return await self._calls.answer(_GET_STATUS, context, self._status(request))

    # A coroutine that writes, not a generator: a generator that is cancelled between two states is closed whenever
    # it is collected, this one leaves the watcher at once.
    async def WatchRequest(  # type: ignore[override]  # the stub knows generators only; grpc.aio takes both
        self, request: pb.WatchRequestRequest, context: Context
    ) -> None:
        await self._calls.answer(_WATCH_REQUEST, context, self._watch(request, context))

    async def ListRequests(
        self, request: pb.ListRequestsRequest, context: Context
    ) -> pb.ListRequestsResponse:
        return await self._calls.answer(_LIST_REQUESTS, context, self._list_requests(request))

    async def GetImage(self, request: pb.GetImageRequest, context: Context) -> pb.GetImageResponse:
        return await self._calls.answer(_GET_IMAGE, context, self._image(request))

    async def ListImages(
        self, request: pb.ListImagesRequest, context: Context
    ) -> pb.ListImagesResponse:
        return await self._calls.answer(_LIST_IMAGES, context, self._list_images(request))

    async def SearchImages(
        self, request: pb.SearchImagesRequest, context: Context
    ) -> pb.SearchImagesResponse:
        return await self._calls.answer(_SEARCH_IMAGES, context, self._search(request))

    async def _submit(self, request: pb.SubmitImageRequest) -> pb.SubmitImageResponse:
        offered = new_image_request(valid_submit(request))
        return submit_response(await self._submissions.begin(offered))

    async def _status(self, request: pb.GetStatusRequest) -> pb.GetStatusResponse:
        status = await self._statuses.read(valid_request_id(request))
        return pb.GetStatusResponse(request=status.message)

    async def _watch(self, request: pb.WatchRequestRequest, context: Context) -> None:
        async with self._watcher.subscribe(valid_watch(request)) as subscription:
            while (status := await subscription.next_status()) is not None:
                await context.write(pb.WatchRequestResponse(request=status.message))

    async def _list_requests(self, request: pb.ListRequestsRequest) -> pb.ListRequestsResponse:
        return await self._listings.requests(parse_list_requests(request))

    async def _image(self, request: pb.GetImageRequest) -> pb.GetImageResponse:
        return pb.GetImageResponse(image=await self._images.read(valid_image_id(request)))

    async def _list_images(self, request: pb.ListImagesRequest) -> pb.ListImagesResponse:
        return await self._listings.images(parse_list_images(request))

    async def _search(self, request: pb.SearchImagesRequest) -> pb.SearchImagesResponse:
        return await self._searches.page(parse_search(request))
