"""The null AWS's queue: hands out each message once, and remembers how many came back to be deleted."""

import json
import uuid
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from core.model.message import ImageMessage
from core.model.request import FIRST_REVISION
from core.runtime.clock import now_ms
from loadtest.bench.null_aws.answers import response


@dataclass(frozen=True, slots=True, eq=False)
class Poll:
    """A long poll that waits for up to `count` messages. `gone` tells whether its caller has left."""

    count: int
    answer: Callable[[bytes], None]
    gone: Callable[[], bool]


class NullQueue:
    def __init__(self) -> None:
        self._waiting: deque[str] = deque()
        self._polls: dict[Poll, None] = {}
        self.handed_out = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def fill(self, urls: Iterable[str], *, customer_id: str) -> None:
        """Put one request a URL; whoever polls gets some at once."""
        for url in urls:
            message = ImageMessage(str(uuid.uuid4()), customer_id, url, FIRST_REVISION)
            self._waiting.append(message.encode())
        while self._waiting and self._polls:
            poll = next(iter(self._polls))
            del self._polls[poll]
            if not poll.gone():
                poll.answer(self.take(poll.count))

    def take(self, count: int) -> bytes:
        """The answer of ReceiveMessage, with up to `count` messages."""
        bodies = [self._waiting.popleft() for _ in range(min(count, len(self._waiting)))]
        self.handed_out += len(bodies)
        return response(json.dumps({"Messages": [_message(body) for body in bodies]}))

    def hold(self, poll: Poll) -> None:
        """Keep a long poll until there is something."""
        self._polls[poll] = None

    def release(self, poll: Poll) -> None:
        """End a long poll with nothing, if it still waits."""
        if poll in self._polls:
            del self._polls[poll]
            poll.answer(self.take(0))


def _message(body: str) -> dict[str, object]:
    message_id = str(uuid.uuid4())
    return {
        "MessageId": message_id,
        "ReceiptHandle": message_id,
        "Body": body,
        "Attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": str(now_ms())},
    }
