"""Taking in a request: insert, send, answer. An answer means that both are durable."""

import asyncio
from collections import deque
from typing import Protocol

from core.errors import DependencyUnavailable, Overloaded, RequestIdReused
from core.message import ImageMessage, first_message
from core.request import ImageRequest, Repeat, repeat
from core.tables import ConditionNotMet, Tables
from server.refusals import ServerDraining


class Sender(Protocol):
    """Puts a message into the queue; returns once that is durable. core.queue_sender.QueueSender is one."""

    async def send(self, body: str) -> None: ...


class Submissions:
    """The submits under way, at most `max_pending`.

    Each runs in a task of its own: a caller that hangs up between insert and send must not leave a row without a
    message, and a drain waits for those whose caller has gone as well.
    """

    def __init__(self, tables: Tables, sender: Sender, *, max_pending: int) -> None:
        self._tables = tables
        self._sender = sender
        self._max_pending = max_pending
        self._under_way: set[asyncio.Task[ImageRequest]] = set()
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._closed = False

    async def submit(self, offered: ImageRequest) -> ImageRequest:
        """Returns the request as it stands: the offered one, or what is accepted under its id already.

        Raises RequestIdReused, Overloaded, DependencyUnavailable or ServerDraining.
        """
        return await asyncio.shield(self.begin(offered))

    def begin(self, offered: ImageRequest) -> asyncio.Future[ImageRequest]:
        """Like `submit`, for many callers in one task: what it returns is not to be cancelled.

        Raises Overloaded and ServerDraining at once.
        """
        if self._closed:
            raise ServerDraining("This server takes no further submits.")
        if len(self._under_way) >= self._max_pending:
            raise Overloaded(f"{self._max_pending} submits are under way already.")
        task = asyncio.create_task(self._accept(offered))
        self._under_way.add(task)
        task.add_done_callback(self._finished)
        return task

    @property
    def crowded(self) -> bool:
        """Whether callers that can wait should: the other half of the places is for those that cannot."""
        return 2 * len(self._under_way) >= self._max_pending and not self._closed

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
        while self._under_way:
            await asyncio.wait(self._under_way)

    def _finished(self, task: asyncio.Task[ImageRequest]) -> None:
        self._under_way.discard(task)
        if self._waiting and not self.crowded:
            self._let_in()
        if not task.cancelled():
            # Looked at, because the caller may have gone and asyncio reports what nobody looked at.
            task.exception()

    def _let_in(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return

    async def _accept(self, offered: ImageRequest) -> ImageRequest:
        try:
            await self._tables.write(self._tables.statements.insert_request(offered))
        except ConditionNotMet:
            # Also where the SDK repeated an insert whose answer was lost: then the row is our own.
            return await self._accept_again(offered)
        await self._send(first_message(offered))
        return offered

    async def _accept_again(self, offered: ImageRequest) -> ImageRequest:
        existing = await self._tables.read_request(offered.request_id)
        if existing is None:
            raise DependencyUnavailable("the row expired between insert and read")
        match repeat(existing, offered):
            case Repeat.CONFLICT:
                raise RequestIdReused("This request_id was accepted with another content.")
            case Repeat.UNFINISHED:
                await self._send(first_message(existing).again())
            case Repeat.FINISHED:
                pass
        return existing

    async def _send(self, message: ImageMessage) -> None:
        await self._sender.send(message.encode())
