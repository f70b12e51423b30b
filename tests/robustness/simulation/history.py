"""What happened in a simulation, and the promises that it must keep."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from consumer.notify.outcome import decode_failed_request_message
from core.dynamodb import schema
from core.model.image import ImageRecord, is_published
from core.model.message import ImageMessage, decode_message
from core.model.request import (
    FIRST_REVISION,
    ImageRequest,
    MessageStatus,
    State,
    message_status,
)

MAX_DEATHS = 2
"""MAX_ISOLATED_RUNS of the simulated consumers."""


class Violation(AssertionError):
    """A promise was broken."""


@dataclass
class History:
    """Every version of each row, every notification, and the ids that were acknowledged. `lines` is for readers."""

    clock: Callable[[], float]
    rows: dict[str, list[ImageRequest]] = field(default_factory=lambda: defaultdict(list))
    images: dict[str, list[ImageRecord]] = field(default_factory=lambda: defaultdict(list))
    notifications: list[Mapping[str, Any]] = field(default_factory=list)
    acknowledged: set[str] = field(default_factory=set)
    failures_sent: set[tuple[str, int]] = field(default_factory=set)
    """Ids and revisions of the messages sent to the failed-requests queue."""
    sent: dict[str, ImageMessage] = field(default_factory=dict)
    """Messages of the queue of requests by their SQS ids, in the order in which they were sent."""
    deaths: Counter[str] = field(default_factory=Counter)
    """By request: the deaths of processes while they decoded its image alone."""
    fetches: Counter[str] = field(default_factory=Counter)
    """By URL."""
    deleted: set[str] = field(default_factory=set)
    """SQS ids of messages of the queue of requests."""
    objects: set[str] = field(default_factory=set)
    lines: list[str] = field(default_factory=list)
    violations: list[BaseException] = field(default_factory=list)
    """Found during the run, in code whose caller may be the code under test."""

    def log(self, line: str) -> None:
        self.lines.append(f"{self.clock():10.3f} {line}")

    def row_written(self, table: str, item: Mapping[str, Any]) -> None:
        """Record a new version of an item, and check it against the version before."""
        if schema.METADATA in item:
            record = schema.image_from_item(item)
            self.log(f"    {table} {record.image_id[:4]} of {record.request_id[-4:]}")
            self.images[record.image_id].append(record)
            self._check_shown(record.request_id)
            return
        row = schema.request_from_item(item)
        self.log(f"    {table} {row.request_id[-4:]} {row.state} {row.revision}")
        versions = self.rows[row.request_id]
        versions.append(row)
        if len(versions) == 1:
            if (row.state, row.revision) != (State.PENDING, FIRST_REVISION):
                self.violate(f"a request began as {row}")
        elif not _may_change(*versions[-2:]):
            self.violate(f"changed from {versions[-2]} to {row}")
        if row.retry_count > self.deaths[row.request_id]:
            self.violate(f"a death was counted that was none: {row}")
        if (
            row.failure is not None
            and row.failure.code == "CRASHED"
            and row.retry_count < MAX_DEATHS
        ):
            self.violate(f"CRASHED too early: {row}")
        self._check_shown(row.request_id)

    def _check_shown(self, request_id: str) -> None:
        """Check that callers see an image only while its request is COMPLETED with it. No row expires here."""
        (row,) = self.rows.get(request_id, [])[-1:] or (None,)
        shown = [
            record
            for record, *_ in self.images.values()
            if record.request_id == request_id and is_published(record, row)
        ]
        for record in shown:
            if row is None or (row.state, row.image_id) != (State.COMPLETED, record.image_id):
                self.violate(f"an image is shown: {record} of {row}")

    def message_sent(self, message_id: str, body: str) -> None:
        self.sent[message_id] = decode_message(body)

    def failure_sent(self, _message_id: str, body: str) -> None:
        failed = decode_failed_request_message(body)
        self.failures_sent.add((failed.request_id, failed.revision))

    def message_deleted(self, message_id: str, _body: str) -> None:
        """Check invariant 4 of docs/architecture.md: what has to be true when a message is deleted."""
        message = self.sent[message_id]
        self.deleted.add(message_id)
        (row,) = self.rows.get(message.request_id, [])[-1:] or (None,)
        if self._has_later_copy(message_id):
            return
        if message.copy and self._has_other_message(message):
            return
        match message_status(row, message.revision):
            case MessageStatus.OPEN:
                self.violate(f"the only message of an open request was deleted: {message}")
            case MessageStatus.ENDED if row is not None and not self.was_notified(row):
                self.violate(f"a message was deleted before its outcome was notified: {row}")

    def _has_later_copy(self, message_id: str) -> bool:
        """Return whether a copy was sent after this message. The copy may be gone again by now."""
        message = self.sent[message_id]
        later = list(self.sent)[list(self.sent).index(message_id) + 1 :]
        return any(
            (self.sent[each].request_id, self.sent[each].revision)
            == (message.request_id, message.revision)
            for each in later
        )

    def _has_other_message(self, message: ImageMessage) -> bool:
        """Return whether a message of the same request and revision is in the queue, in a worker or in the DLQ."""
        key = message.request_id, message.revision
        return any(
            (each.request_id, each.revision) == key
            for message_id, each in self.sent.items()
            if message_id not in self.deleted
        )

    def fetched(self, url: str) -> None:
        self.fetches[url] += 1

    def was_notified(self, row: ImageRequest) -> bool:
        """Return whether an outcome was published and, if it FAILED, has its message in the failed-requests queue."""
        key = (row.request_id, row.revision)
        published = {(each["requestId"], each["revision"]) for each in self.notifications}
        return key in published and (row.state is not State.FAILED or key in self.failures_sent)

    def violate(self, text: str) -> None:
        self.log(f"VIOLATION {text}")
        self.violations.append(Violation(text))

    def published(self, entry: Mapping[str, Any]) -> None:
        event = json.loads(json.loads(entry["Message"])["default"])
        self.log(f"    published {event['notificationId'][-6:]} {event['status']}")
        self.notifications.append(event)
        if not any(
            (row.revision, row.state) == (event["revision"], event["status"])
            for row in self.rows.get(event["requestId"], [])
        ):
            self.violate(f"notified before it was stored: {event}")


def _may_change(before: ImageRequest, after: ImageRequest) -> bool:
    """Return whether one write may do this. A terminal state is written once in its revision; COMPLETED is the last."""
    allowed = {
        (State.PENDING, State.PENDING): 0,
        (State.PENDING, State.COMPLETED): 1,
        (State.PENDING, State.FAILED): 1,
        (State.FAILED, State.PENDING): 1,
    }
    rise = allowed.get((before.state, after.state))
    return after.revision - before.revision == rise and _content(before) == _content(after)


def _content(row: ImageRequest) -> tuple[object, ...]:
    return row.customer_id, row.origin_url, row.created_at, row.payload_hash


def check_end(history: History) -> None:
    """Check the promises that hold once faults have ended and the system had time. Raises Violation."""
    if history.violations:
        raise history.violations[0]
    for request_id in history.acknowledged:
        if request_id not in history.rows:
            raise Violation(f"acknowledged without a row: {request_id}")
    for versions in history.rows.values():
        last = versions[-1]
        if not last.terminal:
            raise Violation(f"never ended: {last}")
        for row in versions:
            if row.terminal:
                _check_notified(history, row)
            if row.failure is not None and row.failure.code == "INTERNAL":
                raise Violation(f"an error of our own code: {row}")
        if last.state is State.FAILED and not history.was_notified(last):
            raise Violation(f"no message in the failed-requests queue: {last}")
        _check_image(history, last)


def _check_notified(history: History, row: ImageRequest) -> None:
    """Check that a terminal revision was notified, each time in the same way."""
    notifications = [
        each
        for each in history.notifications
        if (each["requestId"], each["revision"]) == (row.request_id, row.revision)
    ]
    if not notifications:
        raise Violation(f"never notified: {row}")
    if any(one != other for one, other in pairwise(notifications)):
        raise Violation(f"notified in different ways: {notifications}")
    (first, *_) = notifications
    if first["status"] != row.state or first.get("imageId") != row.image_id:
        raise Violation(f"notified otherwise than stored: {row}, {first}")
    if row.image_id is not None:
        (record, *_) = history.images[row.image_id]
        if not first["publicUrl"].endswith(record.key):
            raise Violation(f"notified of another image: {record}, {first}")


def _check_image(history: History, row: ImageRequest) -> None:
    """Check that a request has at most one image record, which never changed and whose object exists."""
    records = [each for each in history.images.values() if each[0].request_id == row.request_id]
    if len(records) > 1 or any(len(versions) > 1 for versions in records):
        raise Violation(f"several image records of one request: {records}")
    if row.state is not State.COMPLETED:
        return
    if not records or records[0][0].image_id != row.image_id:
        raise Violation(f"COMPLETED without its image: {row}")
    if records[0][0].s3_url.removeprefix("s3:/") not in history.objects:
        raise Violation(f"COMPLETED without its object: {row}")
