"""Users that call SubmitImage, GetStatus and WatchRequest."""

import random
import time

import grpc
from locust import task

from imageservice.v1 import image_service_pb2 as pb
from loadtest.users.rpc_error import RpcError
from loadtest.users.service_user import ServiceUser

FIRST_EVENTS = "WatchRequest"
"""Until the first state of every id has arrived."""
ALL_ENDED = "WatchRequest to the end"
"""Until all requests are terminal and the stream has ended."""


class UnarySubmit(ServiceUser):
    """Submits one image per call."""

    @task
    def submit_one(self) -> None:
        self.submit(self.due())


class Status(ServiceUser):
    """Reads the state of recently submitted requests of all users of this process.

    If there are none, it submits one; that call does not count as a call of the schedule.
    """

    @task
    def read(self) -> None:
        since = self.due()
        if not self.load.recent and self.submit(time.perf_counter()) is None:
            return
        request = pb.GetStatusRequest(request_id=random.choice(self.load.recent))  # noqa: S311  not a secret
        self.call("GetStatus", self.stub.GetStatus, request, since)


class Watch(ServiceUser):
    """Submits images and watches them to their ends. The submits are not calls of the schedule."""

    @task
    def follow(self) -> None:
        late = time.perf_counter() - self.due()
        submitted = [self.submit(time.perf_counter()) for _ in range(self.load.options.watch_ids)]
        ids = [request_id for request_id in submitted if request_id is not None]
        if ids:
            self._watch(ids, time.perf_counter() - late)

    def _watch(self, ids: list[str], since: float) -> None:
        stage, waiting = FIRST_EVENTS, set(ids)
        request = pb.WatchRequestRequest(request_ids=ids)
        call = self.stub.WatchRequest(request, timeout=self.load.options.watch_timeout)
        try:
            for event in call:
                waiting.discard(event.request.request_id)
                if stage is FIRST_EVENTS and not waiting:
                    self.succeeded(stage, since, event.ByteSize())
                    stage = ALL_ENDED
        except grpc.RpcError as error:
            self.failed(stage, since, RpcError.of(error))
            self.pause()
        else:
            self.succeeded(stage, since, 0)
        finally:
            # Also reached if locust stops the user.
            call.cancel()
