"""Asks for the state of requests that were submitted lately, by itself or by its neighbours."""

import random
import time

from locust import task

from imageservice.v1 import image_service_pb2 as pb
from loadtest.users.service_user import ServiceUser


class Status(ServiceUser):
    """Submits an image where none is known yet, which is no call of the run's schedule."""

    @task
    def ask(self) -> None:
        since = self.due()
        if not self.load.known and self.submit(time.perf_counter()) is None:
            return
        request = pb.GetStatusRequest(request_id=random.choice(self.load.known))  # noqa: S311
        self.call("GetStatus", self.stub.GetStatus, request, since)
