"""The items of one SubmitImages stream. Separate from the user, because importing locust patches the whole process."""

import threading
from collections.abc import Iterator
from typing import Protocol

from imageservice.v1 import image_service_pb2 as pb
from loadtest.users.arrivals import Arrivals
from loadtest.users.rpc_error import RpcError


class NextImage(Protocol):
    def __call__(self) -> pb.SubmitImageRequest: ...


class BulkStream:
    """The images of one stream. At most `window` wait for a result; the stream is closed after `images`."""

    def __init__(self, arrivals: Arrivals, image: NextImage, window: int, images: int) -> None:
        self._arrivals = arrivals
        self._image = image
        self._images = images
        self._free = threading.Semaphore(window)
        self._pending: dict[str, float] = {}
        self._ended = False
        self.exhausted = False
        """Return whether the run has no more calls to make."""

    @property
    def pending(self) -> bool:
        return bool(self._pending)

    def requests(self) -> Iterator[pb.SubmitImagesRequest]:
        """Yield the requests when they are due. gRPC iterates in a separate thread, a greenlet under locust."""
        for number in range(self._images):
            self._free.acquire()
            since = None if self._ended else self._arrivals.take()
            if since is None:
                self.exhausted = not self._ended
                return
            item_id = str(number)
            self._pending[item_id] = since
            yield pb.SubmitImagesRequest(item_id=item_id, image=self._image())

    def settle(self, result: pb.SubmitImagesResult) -> tuple[float | None, RpcError | None]:
        """Return when the item was due (None if it is not waiting for a result), and its error."""
        since = self._pending.pop(result.item_id, None)
        if since is not None:
            self._free.release()
        rejected = result.WhichOneof("outcome") != "accepted"
        return since, RpcError(result.error.reason or "NO_REASON") if rejected else None

    def end(self) -> list[float]:
        """Stop sending, and return when the items without a result were due."""
        self._ended = True
        self._free.release()
        unanswered = list(self._pending.values())
        self._pending.clear()
        return unanswered
