"""Hands in images over bulk streams, one stream after the other."""

import time
from collections.abc import Iterator

import gevent
import grpc
from locust import task
from locust.exception import StopUser

from imageservice.v1 import image_service_pb2 as pb
from loadtest.users.bulk_stream import BulkStream
from loadtest.users.rpc_failed import RpcFailed
from loadtest.users.service_user import ServiceUser

NAME = "SubmitImages"
"""Each image counts as one; so does a stream that fails while no image waits."""


class BulkSubmit(ServiceUser):
    @task
    def send_stream(self) -> None:
        options = self.load.options
        stream = BulkStream(
            self.load.arrivals, self.load.image, options.bulk_window, options.bulk_images
        )
        opened = time.perf_counter()
        call = self.stub.SubmitImages(stream.requests())
        try:
            failure = self._read(iter(call), stream)
        finally:
            # A user that is stopped leaves here, too.
            unanswered = stream.end()
            call.cancel()
        self._count(unanswered, failure, opened)
        if failure is not None:
            self.pause()
        if stream.exhausted:
            raise StopUser

    def _read(
        self, call: Iterator[pb.SubmitImagesResponse], stream: BulkStream
    ) -> RpcFailed | None:
        """Read to the stream's end; why it broke off, or was left because its images got no answer."""
        try:
            for response in self._within_timeout(call):
                accepted = [self._settle(stream, result) for result in response.results]
                if not all(accepted):
                    self.pause()
        except grpc.RpcError as error:
            return RpcFailed.of(error)
        except gevent.Timeout:
            return RpcFailed("DEADLINE_EXCEEDED") if stream.pending else None
        return None

    def _within_timeout(
        self, call: Iterator[pb.SubmitImagesResponse]
    ) -> Iterator[pb.SubmitImagesResponse]:
        while True:
            with gevent.Timeout(self.load.options.call_timeout):
                response = next(call, None)
            if response is None:
                return
            yield response

    def _settle(self, stream: BulkStream, result: pb.SubmitImagesResult) -> bool:
        """Whether the image was accepted."""
        since, refusal = stream.settle(result)
        if since is None:
            self.failed(NAME, time.perf_counter(), RpcFailed("UNASKED_RESULT"))
        elif refusal is not None:
            self.failed(NAME, since, refusal)
        else:
            self.load.known.append(result.accepted.request_id)
            self.answered(NAME, since, result.ByteSize())
            return True
        return False

    def _count(self, unanswered: list[float], failure: RpcFailed | None, opened: float) -> None:
        """Every image has an end: a stream that ended well and left some out broke the contract."""
        for since in unanswered:
            self.failed(NAME, since, failure or RpcFailed("NO_RESULT"))
        if failure is not None and not unanswered:
            self.failed(NAME, opened, failure)
