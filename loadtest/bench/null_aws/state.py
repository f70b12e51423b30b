"""The queues and the rows of the null AWS."""

import json
import uuid
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from core.dynamodb import schema
from core.model.image import image_id_of
from core.model.message import ImageMessage
from core.model.request import FIRST_REVISION, State, new_request, next_revision
from core.runtime.clock import now_ms
from loadtest.bench.null_aws.responses import dynamodb_response, md5_of, response

_URL = "http://127.0.0.1/image.jpg"
_IMAGE: schema.Item = {
    "format": schema.string("JPEG"),
    "mediaType": schema.string("image/jpeg"),
    "width": schema.number(1),
    "height": schema.number(1),
    "frames": schema.number(1),
}


@dataclass(frozen=True, slots=True, eq=False)
class Poll:
    """A long poll that waits for up to `count` messages. `gone` returns whether its caller has disconnected."""

    count: int
    answer: Callable[[bytes], None]
    gone: Callable[[], bool]


class NullQueue:
    """Delivers each message once."""

    def __init__(self) -> None:
        self._waiting: deque[str] = deque()
        self._polls: dict[Poll, None] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def fill(self, urls: Iterable[str], *, customer_id: str) -> None:
        """Put one message per URL into the queue."""
        self.add(
            ImageMessage(
                str(uuid.uuid4()), customer_id, url, FIRST_REVISION, created_at=now_ms()
            ).encode()
            for url in urls
        )

    def add(self, bodies: Iterable[str]) -> None:
        """Put messages into the queue and answer waiting polls."""
        self._waiting.extend(bodies)
        while self._waiting and self._polls:
            poll = next(iter(self._polls))
            del self._polls[poll]
            if not poll.gone():
                poll.answer(self.take(poll.count))

    def take(self, count: int) -> bytes:
        """Return the response of ReceiveMessage with up to `count` messages."""
        bodies = [self._waiting.popleft() for _ in range(min(count, len(self._waiting)))]
        return response(json.dumps({"Messages": [_message(body) for body in bodies]}))

    def hold(self, poll: Poll) -> None:
        """Keep a long poll until a message arrives."""
        self._polls[poll] = None

    def release(self, poll: Poll) -> None:
        """Answer a long poll without messages if it still waits."""
        if poll in self._polls:
            del self._polls[poll]
            poll.answer(self.take(0))


def _message(body: str) -> dict[str, object]:
    message_id = str(uuid.uuid4())
    return {
        "MessageId": message_id,
        "ReceiptHandle": message_id,
        "Body": body,
        "MD5OfBody": md5_of(body),
        "Attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": str(now_ms())},
    }


class NullRows:
    """A row exists from its first read on and is PENDING until a benchmark completes it. Writes change nothing."""

    def __init__(self) -> None:
        self._requests: dict[str, schema.Item] = {}
        self._images: dict[str, schema.Item] = {}
        self._age_ms = 0

    def age(self, seconds: float) -> None:
        """Set the age that rows have when they are first read."""
        self._age_ms = round(seconds * 1_000)

    def complete(self, request_ids: Iterable[str]) -> None:
        """Make these requests COMPLETED, each with an image."""
        for request_id in request_ids:
            image_id = image_id_of(request_id)
            row = self._request(request_id)
            row[schema.STATUS] = schema.string(State.COMPLETED)
            row[schema.REVISION] = schema.number(next_revision(FIRST_REVISION))
            row[schema.UPDATED_AT] = schema.number(now_ms())
            row[schema.IMAGE_ID] = schema.string(image_id)
            self._images[image_id] = _image(image_id, request_id)

    def batch_get(self, body: bytes) -> tuple[int, bytes]:
        """Return the number of requested keys, and the response of BatchGetItem."""
        found: dict[str, list[schema.Item]] = {}
        count = 0
        for table, query in json.loads(body)["RequestItems"].items():
            rows = [self._row(key) for key in query["Keys"]]
            count += len(rows)
            found[table] = [_projected(row, query) for row in rows if row is not None]
        answer = json.dumps({"Responses": found, "UnprocessedKeys": {}})
        return count, dynamodb_response(answer)

    def _row(self, key: schema.Item) -> schema.Item | None:
        if schema.IMAGE_ID in key:
            return self._images.get(key[schema.IMAGE_ID]["S"])
        return self._request(key[schema.REQUEST_ID]["S"])

    def _request(self, request_id: str) -> schema.Item:
        row = self._requests.get(request_id)
        if row is None:
            request = new_request(
                request_id=request_id,
                customer_id="bench",
                url=_URL,
                labels={},
                now=now_ms() - self._age_ms,
            )
            row = self._requests[request_id] = schema.new_request_item(request, shards=1)
        return row


def _image(image_id: str, request_id: str) -> schema.Item:
    return {
        schema.IMAGE_ID: schema.string(image_id),
        schema.REQUEST_ID: schema.string(request_id),
        schema.CUSTOMER_ID: schema.string("bench"),
        schema.S3_URL: schema.string("s3://bucket/images/00/0/0.jpg"),
        schema.CREATED_AT: schema.number(now_ms()),
        schema.METADATA: {"M": _IMAGE},
        schema.PROVENANCE: {"M": {}},
    }


def _projected(row: schema.Item, query: dict[str, Any]) -> schema.Item:
    if "ProjectionExpression" not in query:
        return row
    names = query["ExpressionAttributeNames"].values()
    return {name: row[name] for name in names if name in row}
