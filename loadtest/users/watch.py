"""Submits some images and follows them to their end."""

import time

import grpc
from locust import task

from imageservice.v1 import image_service_pb2 as pb
from loadtest.users.rpc_failed import RpcFailed
from loadtest.users.service_user import ServiceUser

FIRST = "WatchRequest"
"""Until the first state of every id was told."""
TO_THE_END = "WatchRequest to the end"
"""Until all were terminal and the stream ended."""


class Watch(ServiceUser):
    """The images are submitted by unary calls of their own, which are no calls of the run's schedule."""

    @task
    def follow(self) -> None:
        late = time.perf_counter() - self.due()
        submitted = [self.submit(time.perf_counter()) for _ in range(self.load.options.watch_ids)]
        ids = [request_id for request_id in submitted if request_id is not None]
        if ids:
            self._watch(ids, time.perf_counter() - late)

    def _watch(self, ids: list[str], since: float) -> None:
        stage, untold = FIRST, set(ids)
        asked = pb.WatchRequestRequest(request_ids=ids)
        call = self.stub.WatchRequest(asked, timeout=self.load.options.watch_timeout)
        try:
            for event in call:
                untold.discard(event.request.request_id)
                if stage is FIRST and not untold:
                    self.answered(stage, since, event.ByteSize())
                    stage = TO_THE_END
        except grpc.RpcError as error:
            self.failed(stage, since, RpcFailed.of(error))
            self.pause()
        else:
            self.answered(stage, since, 0)
        finally:
            # A user that is stopped leaves here, too.
            call.cancel()
