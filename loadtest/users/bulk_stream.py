"""One bulk stream: what was sent and has no answer yet."""

import threading
from collections.abc import Iterator
from typing import Protocol

from imageservice.v1 import image_service_pb2 as pb
from loadtest.users.arrivals import Arrivals
from loadtest.users.rpc_failed import RpcFailed


class NextImage(Protocol):
    def __call__(self) -> pb.SubmitImageRequest: ...


class BulkStream:
    """At most `window` images wait for an answer; after `images` of them the stream is closed."""

    def __init__(self, arrivals: Arrivals, image: NextImage, window: int, images: int) -> None:
        self._arrivals = arrivals
        self._image = image
        self._images = images
        self._free = threading.Semaphore(window)
        self._pending: dict[str, float] = {}
        self._ended = False
        self.exhausted = False
        """No more call is to be made in this run."""

    @property
    def pending(self) -> bool:
        return bool(self._pending)

    def requests(self) -> Iterator[pb.SubmitImagesRequest]:
        """What to send, each when it is due. gRPC asks from a thread of its own, a greenlet under locust."""
        for number in range(self._images):
            self._free.acquire()
            since = None if self._ended else self._arrivals.take()
            if since is None:
                self.exhausted = not self._ended
                return
            item_id = str(number)
            self._pending[item_id] = since
            yield pb.SubmitImagesRequest(item_id=item_id, image=self._image())

    def settle(self, result: pb.SubmitImagesResult) -> tuple[float | None, RpcFailed | None]:
        """When the item became due, None for an item that waits for no answer; and why it was refused."""
        since = self._pending.pop(result.item_id, None)
        if since is not None:
            self._free.release()
        refused = result.WhichOneof("outcome") != "accepted"
        return since, RpcFailed(result.error.reason or "NO_REASON") if refused else None

    def end(self) -> list[float]:
        """Send nothing more; when those became due that got no answer."""
        self._ended = True
        self._free.release()
        unanswered = list(self._pending.values())
        self._pending.clear()
        return unanswered
