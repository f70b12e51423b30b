"""SubmitImage: accepted requests are durable, and an id is accepted once."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import grpc
import pytest
from types_aiobotocore_sqs import SQSClient

from cli.local.stack import StackOutputs
from core.aws.sqs import SqsQueue
from core.dynamodb.tables import Tables
from core.errors import DependencyUnavailable
from core.model.message import ImageMessage
from harness.grpc_client import expect_refusal, states, submit_request
from harness.messages import take
from harness.outcomes import complete, fail
from harness.running_server import ServerFactory
from imageservice.v1 import image_service_pb2 as pb


class FailingOnceQueue(SqsQueue):
    """The first send fails, as if the process ended between insert and send."""

    failed = False

    def send_nowait(self, body: str, *, delay: int = 0, group: str = "") -> asyncio.Future[None]:
        if self.failed:
            return super().send_nowait(body, delay=delay, group=group)
        self.failed = True
        failing: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        failing.set_exception(DependencyUnavailable("the queue is away"))
        return failing


class CountingQueue(SqsQueue):
    """Counts the messages, and records their delays."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.delays: list[int] = []

    @property
    def sent(self) -> int:
        return len(self.delays)

    def send_nowait(self, body: str, *, delay: int = 0, group: str = "") -> asyncio.Future[None]:
        self.delays.append(delay)
        return super().send_nowait(body, delay=delay, group=group)


class BlockingQueue(SqsQueue):
    """Sends wait until they are released."""

    reached: asyncio.Event
    released: asyncio.Event

    def send_nowait(self, body: str, *, delay: int = 0, group: str = "") -> asyncio.Future[None]:
        self.reached.set()
        return asyncio.ensure_future(self._send_when_released(body, delay, group))

    async def _send_when_released(self, body: str, delay: int, group: str) -> None:
        await self.released.wait()
        await super().send_nowait(body, delay=delay, group=group)


def blocking_queue(servers: ServerFactory) -> BlockingQueue:
    sender = servers.sender(BlockingQueue)
    sender.reached, sender.released = asyncio.Event(), asyncio.Event()
    return sender


@pytest.fixture
def own_servers(servers: ServerFactory, own_stack: StackOutputs) -> ServerFactory:
    """Servers with a queue of their own for this test."""
    return replace(servers, stack=own_stack)


def new_id() -> str:
    return str(uuid.uuid4())


async def test_an_accepted_request_is_in_the_table_and_in_the_queue(
    own_servers: ServerFactory, sqs: SQSClient
) -> None:
    """A caller without an id gets one, and can read the request at once."""
    async with own_servers.running() as server:
        response = await server.stub.SubmitImage(
            pb.SubmitImageRequest(
                url="https://a.example/ü", customer_id="acme", labels={"order": "7"}
            )
        )
        assert (response.state, response.revision) == (pb.STATE_PENDING, 1)
        answer = await server.stub.GetStatus(
            pb.GetStatusRequest(request_id=response.request_id.upper())
        )
    assert (answer.request.url, dict(answer.request.labels)) == (
        "https://a.example/ü",
        {"order": "7"},
    )
    expected = ImageMessage(
        response.request_id,
        "acme",
        "https://a.example/ü",
        revision=1,
        pending_since=answer.request.create_time.ToMilliseconds(),
        created_at=answer.request.create_time.ToMilliseconds(),
    )
    assert await take(sqs, own_servers.stack.queue_url, 1) == [expected]


async def test_the_same_id_and_content_is_accepted_once(servers: ServerFactory) -> None:
    """A retry gets the same answer, and sends no second message."""
    request = submit_request(new_id())
    sender = servers.sender(CountingQueue)
    async with servers.running(sender=sender) as server:
        first = await server.stub.SubmitImage(request)
        second = await server.stub.SubmitImage(request)
    assert first == second
    assert sender.sent == 1


async def test_one_id_from_many_callers_at_once_is_accepted_once(servers: ServerFactory) -> None:
    """Concurrent retries join the submit in progress."""
    request = submit_request(new_id())
    sender = servers.sender(CountingQueue)
    async with servers.running(sender=sender) as server:
        answers = await asyncio.gather(*(server.stub.SubmitImage(request) for _ in range(20)))
    assert {(answer.request_id, answer.revision) for answer in answers} == {(request.request_id, 1)}
    assert sender.sent == 1


async def test_another_server_sends_a_delayed_copy(own_servers: ServerFactory) -> None:
    """It does not know whether the first message was sent."""
    request = submit_request(new_id())
    senders = [own_servers.sender(CountingQueue) for _ in range(2)]
    for sender in senders:
        async with own_servers.running(sender=sender) as server:
            await server.stub.SubmitImage(request)
    assert [sender.delays for sender in senders] == [[0], [60]]


async def test_other_content_with_the_same_id_is_rejected(servers: ServerFactory) -> None:
    """Other content under an existing id gets ALREADY_EXISTS with its reason."""
    request_id = new_id()
    async with servers.running() as server:
        await server.stub.SubmitImage(submit_request(request_id))
        other = submit_request(request_id, url="https://a.example/other")
        refusal = await expect_refusal(server.stub.SubmitImage(other))
    assert (refusal.code, refusal.reason) == (
        grpc.StatusCode.ALREADY_EXISTS,
        "REQUEST_ID_REUSED",
    )


@pytest.mark.parametrize(
    ("end", "state"), [(complete, pb.STATE_COMPLETED), (fail, pb.STATE_FAILED)]
)
async def test_a_retry_of_a_finished_request_returns_its_state(
    servers: ServerFactory,
    tables: Tables,
    end: Callable[[Tables, str], Awaitable[None]],
    state: int,
) -> None:
    """The message of a terminal request is not sent again."""
    request = submit_request(new_id())
    sender = servers.sender(CountingQueue)
    async with servers.running(sender=sender) as server:
        await server.stub.SubmitImage(request)
        await end(tables, request.request_id)
        answer = await server.stub.SubmitImage(request)
    assert (answer.state, answer.revision) == (state, 2)
    assert sender.sent == 1


async def test_a_retry_completes_a_submit_whose_send_failed(
    own_servers: ServerFactory, sqs: SQSClient
) -> None:
    """A row without a message is not stuck: the caller's retry sends it, marked as redelivered."""
    request = submit_request(new_id())
    sender = own_servers.sender(FailingOnceQueue)
    async with own_servers.running(sender=sender) as server:
        refusal = await expect_refusal(server.stub.SubmitImage(request))
        assert (refusal.code, refusal.reason) == (
            grpc.StatusCode.UNAVAILABLE,
            "DEPENDENCY_UNAVAILABLE",
        )
        assert refusal.retry_after is not None
        answer = await server.stub.SubmitImage(request)
    assert (answer.request_id, answer.state) == (request.request_id, pb.STATE_PENDING)
    (message,) = await take(sqs, own_servers.stack.queue_url, 1)
    assert (message.request_id, message.resent) == (request.request_id, True)


async def test_a_disconnected_caller_leaves_no_row_without_a_message(
    own_servers: ServerFactory, sqs: SQSClient
) -> None:
    """A submit continues if its caller disconnects, and a drain waits for it."""
    sender = blocking_queue(own_servers)
    request = submit_request(new_id())
    async with own_servers.running(sender=sender) as server:
        call = server.stub.SubmitImage(request)
        await sender.reached.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await server.lifecycle._middleware.unary.wait_idle()
        watch = server.stub.WatchRequest(pb.WatchRequestRequest(request_ids=[request.request_id]))
        await states(watch, 1)
        draining = asyncio.create_task(server.lifecycle.drain())
        await expect_refusal(watch.read())
        refusal = await expect_refusal(server.stub.SubmitImage(submit_request(new_id())))
        assert refusal.reason == "SERVER_DRAINING"
        sender.released.set()
        await draining
    (message,) = await take(sqs, own_servers.stack.queue_url, 1)
    assert message.request_id == request.request_id


async def test_a_saturated_server_rejects_submits(servers: ServerFactory) -> None:
    """At the limit a submit is rejected at once with a retry delay; submits in progress are answered."""
    sender = blocking_queue(servers)
    async with servers.running(sender=sender, max_pending_submits=1) as server:
        first = asyncio.ensure_future(server.stub.SubmitImage(submit_request(new_id())))
        await sender.reached.wait()
        refusal = await expect_refusal(server.stub.SubmitImage(submit_request(new_id())))
        sender.released.set()
        answer = await first
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED")
    assert refusal.retry_after is not None
    assert answer.state == pb.STATE_PENDING


async def test_a_burst_is_answered_call_by_call(servers: ServerFactory) -> None:
    """Each of many concurrent calls on one connection gets our answer, and gRPC drops none.

    Its default limits would drop some of more than 1,000 waiting calls. On a busy machine, more calls than these would
    wait longer than 30 s, after which gRPC cancels a call that no handler has taken.
    """
    invalid = pb.SubmitImageRequest(customer_id="acme")
    async with servers.running() as server:
        refusals = await asyncio.gather(
            *(expect_refusal(server.stub.SubmitImage(invalid)) for _ in range(1_500))
        )
    assert {(each.code, each.reason) for each in refusals} == {
        (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    }
