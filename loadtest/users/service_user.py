"""What every user of the service does: wait for its turn, call, and tell locust how it went."""

import time
from typing import TYPE_CHECKING, ClassVar, TypeVar

import gevent
import grpc
from google.protobuf.message import Message
from locust import User
from locust.env import Environment
from locust.exception import StopUser

from loadtest.users.load import Load
from loadtest.users.rpc_failed import RpcFailed

if TYPE_CHECKING:
    Asked = TypeVar("Asked", bound=Message)
    Answer = TypeVar("Answer", bound=Message)

PAUSE_AFTER_FAILURE = 0.1
"""Seconds; so that a closed loop does not storm a server that is down. An open loop has its rate."""


class ServiceUser(User):
    """`load` is set when a run begins, before its users are."""

    abstract = True
    load: ClassVar[Load]

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self.stub = self.load.connections.next_stub()

    def due(self) -> float:
        """Wait for one's turn; the time from which the call's latency counts. Ends the user after the last."""
        since = self.load.arrivals.take()
        if since is None:
            raise StopUser
        return since

    def submit(self, since: float) -> str | None:
        """Submit another image; its id where it was acknowledged."""
        answer = self.call("SubmitImage", self.stub.SubmitImage, self.load.image(), since)
        if answer is None:
            return None
        self.load.known.append(answer.request_id)
        return answer.request_id

    def call(
        self,
        name: str,
        rpc: "grpc.UnaryUnaryMultiCallable[Asked, Answer]",
        request: "Asked",
        since: float,
    ) -> "Answer | None":
        """One unary call; None where it failed, which locust has been told."""
        try:
            answer = rpc(request, timeout=self.load.options.call_timeout)
        except grpc.RpcError as error:
            self.failed(name, since, RpcFailed.of(error))
            self.pause()
            return None
        self.answered(name, since, answer.ByteSize())
        return answer

    def answered(self, name: str, since: float, length: int) -> None:
        """`length` is the answer's in bytes."""
        self._tell(name, since, length, None)

    def failed(self, name: str, since: float, failure: RpcFailed) -> None:
        self._tell(name, since, 0, failure)

    def pause(self) -> None:
        """After a failure."""
        if not self.load.options.rate:
            gevent.sleep(PAUSE_AFTER_FAILURE)

    def _tell(self, name: str, since: float, length: int, failure: RpcFailed | None) -> None:
        self.environment.events.request.fire(
            request_type="grpc",
            name=name,
            response_time=(time.perf_counter() - since) * 1e3,
            response_length=length,
            exception=failure,
            context={},
        )
