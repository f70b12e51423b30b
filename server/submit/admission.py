"""The submits under way: how many there may be, who waits for room, when all are done."""

import asyncio
import os
from collections import deque
from collections.abc import Iterator

from core.dynamodb.tables import Tables
from core.errors import Overloaded
from core.model.request import ImageRequest, new_request
from core.runtime.clock import now_ms
from server.errors import ServerDraining
from server.metrics import PENDING_SUBMITS
from server.submit.acceptance import Sender, SubmitOperation
from server.validation import ValidSubmit

# From a submit that keeps to the contract to the request that it offers.

_IDS_AT_ONCE = 256


def new_image_request(valid: ValidSubmit) -> ImageRequest:
    """A request as of now, under the caller's id or a new one."""
    return new_request(
        request_id=valid.request_id or next(_IDS),
        customer_id=valid.customer_id,
        url=valid.url,
        labels=valid.labels,
        now=now_ms(),
    )


def _new_ids() -> Iterator[str]:
    """Random UUIDs (RFC 9562, version 4): version and variant take the place of six of 128 random bits.

    As from uuid.uuid4, whose system call and UUID for each id cost four times as much.
    """
    while True:
        digits = os.urandom(16 * _IDS_AT_ONCE).hex()
        for start in range(0, len(digits), 32):
            one = digits[start : start + 32]
            variant = "89ab"[int(one[16], 16) & 3]
            yield f"{one[:8]}-{one[8:12]}-4{one[13:16]}-{variant}{one[17:20]}-{one[20:]}"


_IDS = _new_ids()


class SubmitAdmission:
    """At most `max_pending` submits; one whose caller has gone counts until it is done, and a drain waits for it."""

    def __init__(self, tables: Tables, sender: Sender, *, max_pending: int) -> None:
        self._tables = tables
        self._sender = sender
        self._max_pending = max_pending
        self._under_way = 0
        self._none = asyncio.Event()
        self._none.set()
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._closed = False

    def begin(self, offered: ImageRequest) -> asyncio.Future[ImageRequest]:
        """The answer is the request as it stands: the offered one, or what is accepted under its id already.

        An answer means that row and message are durable. Whoever waits for it may be cancelled: the submit goes on.
        Raises Overloaded and ServerDraining at once; the answer may raise RequestIdReused, Overloaded or
        DependencyUnavailable.
        """
        if self._closed:
            raise ServerDraining("This server takes no further submits.")
        if self._under_way >= self._max_pending:
            raise Overloaded(f"{self._max_pending} submits are under way already.")
        answer = SubmitOperation(offered, self._tables, self._sender, self._settled).insert()
        self._under_way += 1
        PENDING_SUBMITS.inc()
        self._none.clear()
        return answer

    @property
    def crowded(self) -> bool:
        """Whether callers that can wait should: the other half of the places is for those that cannot."""
        return 2 * self._under_way >= self._max_pending and not self._closed

    async def room(self) -> None:
        """Wait while it is crowded. In turn, but the place is not kept: look again."""
        if self.crowded:
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if not turn.cancelled() and not self.crowded:
                    self._let_in()
                raise

    def close(self) -> None:
        """Refuse further submits; those under way go on."""
        self._closed = True
        while self._waiting:
            self._let_in()

    async def settled(self) -> None:
        """Wait until no submit is under way."""
        await self._none.wait()

    def _settled(self) -> None:
        self._under_way -= 1
        PENDING_SUBMITS.dec()
        if not self._under_way:
            self._none.set()
        if self._waiting and not self.crowded:
            self._let_in()

    def _let_in(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
