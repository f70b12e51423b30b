"""One submit on its way from insert to answer."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from core.dynamodb.tables import ConditionNotMet, Tables
from core.errors import DependencyUnavailable, RequestIdReused
from core.model.message import ImageMessage, first_message
from core.model.request import ImageRequest, Repeat, repeat


class Sender(Protocol):
    """Puts a message into the queue; its future ends once that is durable. core.aws.sqs.SqsQueue is one."""

    def send_nowait(self, body: str) -> asyncio.Future[None]: ...


class SubmitOperation:
    """A state machine: the end of each call is the event that begins the next.

        inserting ──────────────► sending ──► settled
            │ the id is known        ▲           ▲
            ▼                        │ PENDING   │ terminal, or another content
         reading ────────────────────┴───────────┘

    An error of any call settles it too. It runs in nobody's task, because a task costs more than all of its steps, and
    so nobody can cancel it between two of them: a row is not left without its message because a caller has gone.
    """

    __slots__ = ("_answer", "_offered", "_sender", "_settled", "_standing", "_tables")
    _answer: asyncio.Future[ImageRequest]

    def __init__(
        self, offered: ImageRequest, tables: Tables, sender: Sender, settled: Callable[[], None]
    ) -> None:
        """`settled` is called once, before the answer is there, where `insert` has not raised."""
        self._offered = offered
        self._standing = offered
        self._tables = tables
        self._sender = sender
        self._settled = settled

    def insert(self) -> asyncio.Future[ImageRequest]:
        """Begin. What it returns is for the caller; cancelled, it ends the caller's wait and nothing else.

        Raises Overloaded, and then nothing was begun.
        """
        insert = self._tables.begin_write(self._tables.statements.insert_request(self._offered))
        insert.add_done_callback(self._inserted)
        # From the future's loop: until Python 3.12 asking for the running one costs a system call.
        self._answer = insert.get_loop().create_future()
        return self._answer

    def _inserted(self, insert: asyncio.Future[None]) -> None:
        match insert.exception():
            case None:
                self._send(first_message(self._offered))
            case ConditionNotMet():
                # Also where the insert was repeated because its answer was lost: then the row is our own.
                reading = asyncio.ensure_future(self._tables.read_request(self._offered.request_id))
                reading.add_done_callback(self._read)
            case error:
                self._settle(error)

    def _read(self, reading: asyncio.Future[ImageRequest | None]) -> None:
        if reading.cancelled():
            return  # The event loop is being closed.
        if error := reading.exception():
            self._settle(error)
        elif existing := reading.result():
            self._repeat(existing)
        else:
            self._settle(DependencyUnavailable("the row expired between insert and read"))

    def _repeat(self, existing: ImageRequest) -> None:
        self._standing = existing
        match repeat(existing, self._offered):
            case Repeat.CONFLICT:
                self._settle(RequestIdReused("This request_id was accepted with another content."))
            case Repeat.UNFINISHED:
                self._send(first_message(existing).again())
            case Repeat.FINISHED:
                self._settle()

    def _send(self, message: ImageMessage) -> None:
        try:
            sending = self._sender.send_nowait(message.encode())
        except Exception as error:  # noqa: BLE001  the caller must hear of it, whatever it is
            self._settle(error)
        else:
            sending.add_done_callback(self._sent)

    def _sent(self, sending: asyncio.Future[None]) -> None:
        self._settle(sending.exception())

    def _settle(self, error: BaseException | None = None) -> None:
        self._settled()
        if self._answer.done():
            return  # Cancelled: the caller has gone.
        if error is None:
            self._answer.set_result(self._standing)
        else:
            self._answer.set_exception(error)
