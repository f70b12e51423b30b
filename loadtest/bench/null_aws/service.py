"""A stub of AWS that answers each call after 5 ms, so that figures do not include the CPU of an emulator.

An emulator on the same machine takes more CPU than the measured process and limits its rate. The stub answers only the
calls of the hot path, stores no data, and takes a few percent of a core at thousands of items per second. It proves
nothing about AWS behaviour; the test suite does, on emulators that keep state.

The queue of the interactive lane delivers the messages of `/_fill`. Both lanes deliver the messages that a consumer has
sent again. The first messages that a server sends are not delivered.

Control endpoints, answered without delay:

    GET  /_calls                                             calls, items and bytes by operation
    POST /_reset                                             set all counts to zero
    POST /_fill     {"urls": […], "customer_id": "bench"}    put one message per URL into the interactive queue
    POST /_complete {"request_ids": […]}                     BatchGetItem answers COMPLETED from now on
    POST /_age      {"seconds": 60}                          the age of a row when it is first read; 0 by default
"""

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from loadtest.bench.null_aws import responses
from loadtest.bench.null_aws.connection import Connection, Request
from loadtest.bench.null_aws.state import NullQueue, NullRows, Poll

DELAY_S = 0.005
"""About one round trip within an AWS region."""
MAX_RECEIVED = 10
INTERACTIVE = "queue"
"""Name of the queue that `/_fill` fills."""
_SENDS = frozenset({"sqs:SendMessage", "sqs:SendMessageBatch"})

CountedResponse = tuple[int, bytes]
"""The number of items in a call, and its response."""


class NullAws:
    """`delay` is in seconds, from the last byte of a call to its response."""

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._loop = asyncio.get_running_loop()
        self._rows = NullRows()
        self._queues: defaultdict[str, NullQueue] = defaultdict(NullQueue)
        self._calls: Counter[str] = Counter()
        self._items: Counter[str] = Counter()
        self._bytes: Counter[str] = Counter()

    def connection(self) -> Connection:
        return Connection(self._serve)

    def _serve(self, request: Request, connection: Connection) -> None:
        if request.path.startswith("/_"):
            connection.answer(self._control(request))
            return
        operation = _operation(request)
        items, response = self._respond(operation, request)
        self._calls[operation] += 1
        self._items[operation] += items
        self._bytes[operation] += len(request.body)
        if operation == "sqs:ReceiveMessage":
            self._receive(request.body, connection)
        else:
            if operation in _SENDS:
                self._deliver_again(request.body)
            self._loop.call_later(self._delay, connection.answer, response)

    def _respond(self, operation: str, request: Request) -> CountedResponse:
        if operation == "dynamodb:BatchGetItem":
            return self._rows.batch_get(request.body)
        if operation == "sqs:ReceiveMessage":
            return 0, b""
        respond = _RESPONSES.get(operation)
        return respond(request.body) if respond else (0, responses.UNKNOWN)

    def _receive(self, body: bytes, connection: Connection) -> None:
        query = json.loads(body)
        queue = self._queue_of(query)
        wait = query.get("WaitTimeSeconds", 0)

        def answer(response: bytes) -> None:
            self._loop.call_later(self._delay, connection.answer, response)

        poll = Poll(
            min(MAX_RECEIVED, query["MaxNumberOfMessages"]), answer, lambda: connection.closed
        )
        if len(queue) or not wait:
            answer(queue.take(poll.count))
        else:
            queue.hold(poll)
            self._loop.call_later(wait, queue.release, poll)

    def _deliver_again(self, body: bytes) -> None:
        """Put the messages that a consumer sends again into their queue, after their delay."""
        if not responses.is_resent(body):  # almost always, and without parsing
            return
        send = json.loads(body)
        queue = self._queue_of(send)
        for entry in send.get("Entries", (send,)):
            self._loop.call_later(entry.get("DelaySeconds", 0), queue.add, (entry["MessageBody"],))

    def _queue_of(self, query: Mapping[str, Any]) -> NullQueue:
        return self._queues[query["QueueUrl"].rpartition("/")[2]]

    def _control(self, request: Request) -> bytes:
        match request.path:
            case "/_calls":
                counts = {"calls": self._calls, "items": self._items, "bytes": self._bytes}
                return responses.response(json.dumps(counts))
            case "/_reset":
                self._calls.clear()
                self._items.clear()
                self._bytes.clear()
            case "/_fill":
                body = json.loads(request.body)
                customer_id = body.get("customer_id", "bench")
                self._queues[INTERACTIVE].fill(body["urls"], customer_id=customer_id)
            case "/_complete":
                self._rows.complete(json.loads(request.body)["request_ids"])
            case "/_age":
                self._rows.age(json.loads(request.body)["seconds"])
            case _:
                return responses.UNKNOWN
        return responses.EMPTY


def _operation(request: Request) -> str:
    """Return the name that our metrics use, such as "dynamodb:BatchGetItem"."""
    if request.target:
        service, _, name = request.target.partition(".")
        return f"{'dynamodb' if service.startswith('DynamoDB') else 'sqs'}:{name}"
    if request.method == "PUT":
        return "s3:PutObject"
    return f"sns:{responses.sns_action(request.body)}"


def _batch(
    ids: Callable[[bytes], Sequence[str]], answer: Callable[[Sequence[str]], bytes]
) -> Callable[[bytes], CountedResponse]:
    def respond(body: bytes) -> CountedResponse:
        found = ids(body)
        return len(found), answer(found)

    return respond


def _execute_batch(body: bytes) -> CountedResponse:
    count = responses.statements(body)
    return count, responses.executed(count)


_RESPONSES: dict[str, Callable[[bytes], CountedResponse]] = {
    "dynamodb:BatchExecuteStatement": _execute_batch,
    "dynamodb:PutItem": lambda _: (1, responses.ROW_WRITTEN),
    "dynamodb:UpdateItem": lambda _: (1, responses.ROW_WRITTEN),
    "sqs:SendMessageBatch": responses.sent_batch,
    "sqs:SendMessage": lambda body: (1, responses.sent(body)),
    "sqs:DeleteMessage": lambda _: (1, responses.EMPTY),
    "sqs:DeleteMessageBatch": _batch(responses.entry_ids, responses.done_batch),
    "sqs:ChangeMessageVisibilityBatch": _batch(responses.entry_ids, responses.done_batch),
    "sqs:GetQueueAttributes": lambda _: (1, responses.queue_attributes()),
    "sns:Publish": lambda _: (1, responses.published()),
    "sns:PublishBatch": _batch(responses.member_ids, responses.published_batch),
    "s3:PutObject": lambda _: (1, responses.STORED),
}
