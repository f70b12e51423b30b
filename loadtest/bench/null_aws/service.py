"""An AWS that does nothing: canned answers after 5 ms, so that an emulator's share of the cores is out of a figure.

An emulator on the same machine takes more CPU than what is measured, and its pace caps ours. This one answers what the
hot path asks for (and nothing else), keeps no data, and takes a few per cent of a core at thousands of items a second.
It stands for no AWS behaviour: correctness is the test suite's business, on emulators that keep state.

Beside the AWS calls, without delay:

    GET  /_calls                                             calls, items, request bytes by operation; CPU seconds
    POST /_reset                                             counts from zero
    POST /_fill     {"urls": […], "customer_id": "bench"}    one request a URL into the queue, any queue
    GET  /_queue                                             what waits and what was handed out
    POST /_complete {"request_ids": […]}                     from now on BatchGetItem says COMPLETED
    POST /_age      {"seconds": 60}                          how old a row is when it is first read, 0 at first
"""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Sequence

from loadtest.bench.null_aws import answers
from loadtest.bench.null_aws.connection import Connection, Request
from loadtest.bench.null_aws.queue import NullQueue, Poll
from loadtest.bench.null_aws.rows import NullRows

DELAY_S = 0.005
"""A round trip within one region of AWS, roughly."""
MAX_RECEIVED = 10

Counted = tuple[int, bytes]
"""How many items a call carried, and its answer."""


class NullAws:
    """`delay` is in seconds, from a call's last byte to its answer."""

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._loop = asyncio.get_running_loop()
        self._rows = NullRows()
        self._queue = NullQueue()
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
        items, response = self._counted(operation, request)
        self._calls[operation] += 1
        self._items[operation] += items
        self._bytes[operation] += len(request.body)
        if operation == "sqs:ReceiveMessage":
            self._receive(request.body, connection)
        else:
            self._loop.call_later(self._delay, connection.answer, response)

    def _counted(self, operation: str, request: Request) -> Counted:
        if operation == "dynamodb:BatchGetItem":
            return self._rows.batch_get(request.body)
        if operation == "sqs:ReceiveMessage":
            return 0, b""
        canned = _CANNED.get(operation)
        return canned(request.body) if canned else (0, answers.UNKNOWN)

    def _receive(self, body: bytes, connection: Connection) -> None:
        asked = json.loads(body)
        wait = asked.get("WaitTimeSeconds", 0)

        def ready(response: bytes) -> None:
            self._loop.call_later(self._delay, connection.answer, response)

        poll = Poll(
            min(MAX_RECEIVED, asked["MaxNumberOfMessages"]), ready, lambda: connection.closed
        )
        if len(self._queue) or not wait:
            ready(self._queue.take(poll.count))
        else:
            self._queue.hold(poll)
            self._loop.call_later(wait, self._queue.release, poll)

    def _control(self, request: Request) -> bytes:
        match request.path:
            case "/_calls":
                return answers.response(json.dumps(self._counts()))
            case "/_reset":
                for counter in (self._calls, self._items, self._bytes):
                    counter.clear()
            case "/_queue":
                state = {"waiting": len(self._queue), "handed_out": self._queue.handed_out}
                return answers.response(json.dumps(state))
            case "/_fill":
                asked = json.loads(request.body)
                self._queue.fill(asked["urls"], customer_id=asked.get("customer_id", "bench"))
            case "/_complete":
                self._rows.complete(json.loads(request.body)["request_ids"])
            case "/_age":
                self._rows.age(json.loads(request.body)["seconds"])
            case _:
                return answers.UNKNOWN
        return answers.EMPTY

    def _counts(self) -> dict[str, object]:
        return {
            "calls": self._calls,
            "items": self._items,
            "bytes": self._bytes,
            "cpu_s": time.process_time(),
        }


def _operation(request: Request) -> str:
    """As our metrics name it: "dynamodb:PutItem"."""
    if request.target:
        service, _, name = request.target.partition(".")
        return f"{'dynamodb' if service.startswith('DynamoDB') else 'sqs'}:{name}"
    match request.method:
        case "PUT":
            return "s3:PutObject"
        case "HEAD":
            return "s3:HeadObject"
        case _:
            return f"sns:{answers.sns_action(request.body)}"


def _batch(
    ids: Callable[[bytes], Sequence[str]], answer: Callable[[Sequence[str]], bytes]
) -> Callable[[bytes], Counted]:
    def canned(body: bytes) -> Counted:
        found = ids(body)
        return len(found), answer(found)

    return canned


def _executed(body: bytes) -> Counted:
    count = answers.statements(body)
    return count, answers.executed(count)


_CANNED: dict[str, Callable[[bytes], Counted]] = {
    "dynamodb:BatchExecuteStatement": _executed,
    "dynamodb:PutItem": lambda _: (1, answers.EMPTY),
    "dynamodb:UpdateItem": lambda _: (1, answers.EMPTY),
    "sqs:SendMessage": lambda _: (1, answers.sent()),
    "sqs:SendMessageBatch": _batch(answers.entry_ids, answers.sent_batch),
    "sqs:DeleteMessage": lambda _: (1, answers.EMPTY),
    "sqs:DeleteMessageBatch": _batch(answers.entry_ids, answers.done_batch),
    "sqs:ChangeMessageVisibilityBatch": _batch(answers.entry_ids, answers.done_batch),
    "sqs:GetQueueAttributes": lambda _: (1, answers.queue_attributes()),
    "sns:Publish": lambda _: (1, answers.published()),
    "sns:PublishBatch": _batch(answers.member_ids, answers.published_batch),
    "s3:PutObject": lambda _: (1, answers.STORED),
    "s3:HeadObject": lambda _: (1, answers.STORED),
}
