"""A user that submits images over SubmitImages streams, one stream after the other."""

import time
from collections.abc import Iterator

import gevent
import grpc
from locust import task
from locust.exception import StopUser

from imageservice.v1 import image_service_pb2 as pb
from loadtest.users.bulk_stream import BulkStream
from loadtest.users.rpc_error import RpcError
from loadtest.users.service_user import ServiceUser

NAME = "SubmitImages"
"""Each image counts as one call. A stream that fails while no image waits for a result counts as one too."""


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
            # Also reached if locust stops the user.
            unanswered = stream.end()
            call.cancel()
        self._count(unanswered, failure, opened)
        if failure is not None:
            self.pause()
        if stream.exhausted:
            raise StopUser

    def _read(self, call: Iterator[pb.SubmitImagesResponse], stream: BulkStream) -> RpcError | None:
        """Read the stream to its end and return its error, also a timeout of a waiting image."""
        try:
            for response in self._within_timeout(call):
                accepted = [self._settle(stream, result) for result in response.results]
                if not all(accepted):
                    self.pause()
        except grpc.RpcError as error:
            return RpcError.of(error)
        except gevent.Timeout:
            return RpcError("DEADLINE_EXCEEDED") if stream.pending else None
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
        """Count a result and return whether the image was accepted."""
        since, error = stream.settle(result)
        if since is None:
            self.failed(NAME, time.perf_counter(), RpcError("UNEXPECTED_RESULT"))
        elif error is not None:
            self.failed(NAME, since, error)
        else:
            self.load.recent.append(result.accepted.request_id)
            self.succeeded(NAME, since, result.ByteSize())
            return True
        return False

    def _count(self, unanswered: list[float], failure: RpcError | None, opened: float) -> None:
        """Count images without a result. A stream that ends without error must have a result for each image."""
        for since in unanswered:
            self.failed(NAME, since, failure or RpcError("NO_RESULT"))
        if failure is not None and not unanswered:
            self.failed(NAME, opened, failure)
