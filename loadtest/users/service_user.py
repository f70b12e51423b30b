"""The base class of users: waits for the next arrival, calls, and reports the result to locust."""

import time
from typing import TYPE_CHECKING, ClassVar, TypeVar

import gevent
import grpc
from google.protobuf.message import Message
from locust import User
from locust.env import Environment
from locust.exception import StopUser

from loadtest.users.load import Load
from loadtest.users.rpc_error import RpcError

if TYPE_CHECKING:
    Request = TypeVar("Request", bound=Message)
    Response = TypeVar("Response", bound=Message)

PAUSE_AFTER_FAILURE_S = 0.1
"""Pause of a closed loop, so that it does not flood a server that is down. An open loop has its rate."""


class ServiceUser(User):
    """`load` is set at the start of a run, before its users exist."""

    abstract = True
    load: ClassVar[Load]

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self.stub = self.load.connections.next_stub()

    def due(self) -> float:
        """Wait for the next arrival and return the time from which its latency counts.

        Stops the user after the last arrival.
        """
        since = self.load.arrivals.take()
        if since is None:
            raise StopUser
        return since

    def submit(self, since: float) -> str | None:
        """Submit the next image and return its id; None on failure."""
        response = self.call("SubmitImage", self.stub.SubmitImage, self.load.image(), since)
        if response is None:
            return None
        self.load.recent.append(response.request_id)
        return response.request_id

    def call(
        self,
        name: str,
        rpc: "grpc.UnaryUnaryMultiCallable[Request, Response]",
        request: "Request",
        since: float,
    ) -> "Response | None":
        """Make a unary call and report it to locust. Returns None on failure."""
        try:
            response = rpc(request, timeout=self.load.options.call_timeout)
        except grpc.RpcError as error:
            self.failed(name, since, RpcError.of(error))
            self.pause()
            return None
        self.succeeded(name, since, response.ByteSize())
        return response

    def succeeded(self, name: str, since: float, length: int) -> None:
        """`length` is the size of the response in bytes."""
        self._report(name, since, length, None)

    def failed(self, name: str, since: float, failure: RpcError) -> None:
        self._report(name, since, 0, failure)

    def pause(self) -> None:
        """Call after a failure."""
        if not self.load.options.rate:
            gevent.sleep(PAUSE_AFTER_FAILURE_S)

    def _report(self, name: str, since: float, length: int, failure: RpcError | None) -> None:
        self.environment.events.request.fire(
            request_type="grpc",
            name=name,
            response_time=(time.perf_counter() - since) * 1e3,
            response_length=length,
            exception=failure,
            context={},
        )
