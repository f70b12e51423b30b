"""Reads what callers do not see: notifications, queues, tables and objects."""

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiobotocore.session import get_session

from harness.stores import Stores, parse_notification, stores_of
from harness.system import System
from robustness.history import (
    FailedRequestStored,
    History,
    ImageStored,
    Notified,
    ObjectRead,
    ObjectSeen,
    RowStored,
)

_OBJECTS_INTERVAL_S = 30.0
_CONCURRENT_READS = 16
_HIDDEN_S = 60.0
"""Longer than messages stay hidden that a killed command has received."""


@dataclass(frozen=True, slots=True)
class PublishedImage:
    """The public URL of an image, and the figures of its record."""

    id: str
    url: str
    sha256: str
    size: int
    media_type: str


@dataclass(slots=True)
class StoreRecorder:
    """Records notifications and objects until `stopped` is set, and tables at the end."""

    stores: Stores
    s3: Any
    history: History
    stopped: asyncio.Event = field(default_factory=asyncio.Event)
    notified: set[str] = field(default_factory=set)
    _objects: dict[str, tuple[str, int]] = field(default_factory=dict)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._record_notifications())
            tasks.create_task(self._record_objects())

    async def _record_notifications(self) -> None:
        url = self.stores.notifications_url
        while True:
            answer = await self.stores.sqs.receive_message(
                QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1
            )
            messages = answer.get("Messages", [])
            for message in messages:
                self._record_notification(message["Body"])
            if messages:
                await self._delete(url, messages)
            elif self.stopped.is_set():
                return

    def _record_notification(self, body: str) -> None:
        notification = parse_notification(body)
        self.notified.add(notification.id)
        self.history.add(
            Notified(
                time.time(),
                notification.id,
                str(notification.sent["requestId"]),
                int(notification.sent["revision"]),
                notification.sent,
                notification.attributes,
            )
        )

    async def _delete(self, url: str, messages: list[dict[str, Any]]) -> None:
        entries = [
            {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]}
            for number, message in enumerate(messages)
        ]
        await self.stores.sqs.delete_message_batch(QueueUrl=url, Entries=entries)

    async def _record_objects(self) -> None:
        while not self.stopped.is_set():
            await self.record_objects()
            try:
                async with asyncio.timeout(_OBJECTS_INTERVAL_S):
                    await self.stopped.wait()
            except TimeoutError:
                pass

    async def record_objects(self) -> None:
        """Record the objects that are new or have changed since the last call."""
        pages = self.s3.get_paginator("list_objects_v2")
        async for page in pages.paginate(Bucket=self.stores.system.stack.bucket):
            for listed in page.get("Contents", []):
                seen = (str(listed["ETag"]), int(listed["Size"]))
                if self._objects.get(listed["Key"]) != seen:
                    self._objects[listed["Key"]] = seen
                    self.history.add(ObjectSeen(time.time(), str(listed["Key"]), *seen))

    async def pending(self) -> list[str]:
        """Return the ids of the requests that are PENDING."""
        rows = await self.stores.requests()
        return [row["requestId"]["S"] for row in rows if row["status"]["S"] == "PENDING"]

    async def depths(self) -> dict[str, int]:
        """Return the depth of each queue by a short name."""
        stack = self.stores.system.stack
        urls = {
            "queue": stack.queue_url,
            "dlq": stack.dlq_url,
            "search": stack.search_queue_url,
            "search dlq": stack.search_dlq_url,
        }
        depths = await asyncio.gather(*(self.stores.depth(url) for url in urls.values()))
        return dict(zip(urls, depths, strict=True))

    async def record_tables(self) -> None:
        for row in await self.stores.requests():
            state, revision = row["status"]["S"], int(row["revision"]["N"])
            lasted_ms = int(row["updatedAt"]["N"]) - int(row["createdAt"]["N"])
            self.history.add(
                RowStored(time.time(), row["requestId"]["S"], state, revision, lasted_ms)
            )
        for row in await self.stores.images():
            ids = row["imageId"]["S"], row["requestId"]["S"]
            self.history.add(ImageStored(time.time(), *ids))

    async def record_failed_requests(self) -> None:
        """Receive all messages of the failed-requests queue, and delete them. Some may still be hidden."""
        url = self.stores.system.stack.failed_requests_queue_url
        deadline = time.monotonic() + _HIDDEN_S
        while await self.stores.depth(url) and time.monotonic() < deadline:
            answer = await self.stores.sqs.receive_message(
                QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1
            )
            messages = answer.get("Messages", [])
            for message in messages:
                body = json.loads(message["Body"])
                self.history.add(
                    FailedRequestStored(
                        time.time(), body["request_id"], body["revision"], body["failure_code"]
                    )
                )
            if messages:
                await self._delete(url, messages)

    async def read_objects(self, images: list[PublishedImage]) -> None:
        """Read the public URLs of images, each URL once."""
        limit = asyncio.Semaphore(_CONCURRENT_READS)
        by_url = {image.url: image for image in images}
        async with aiohttp.ClientSession(trust_env=False) as session, asyncio.TaskGroup() as tasks:

            async def read(image: PublishedImage) -> None:
                async with limit, session.get(image.url) as answer:
                    body = await answer.read()
                    self.history.add(
                        ObjectRead(
                            time.time(),
                            image.id,
                            image.url,
                            answer.status,
                            hashlib.sha256(body).hexdigest(),
                            len(body),
                            answer.content_type,
                            image.sha256,
                            image.size,
                            image.media_type,
                        )
                    )

            for image in by_url.values():
                tasks.create_task(read(image))


@asynccontextmanager
async def store_recorder(system: System, history: History) -> AsyncIterator[StoreRecorder]:
    """Open the stores of a system. Notifications are kept for it from now on."""
    async with (
        stores_of(system) as stores,
        get_session().create_client("s3", **system.aws.sdk()) as s3,
    ):
        yield StoreRecorder(stores, s3, history)
