"""Durable acceptance of one request: row first, then message."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from core.dynamodb.tables import ConditionNotMet, Tables
from core.errors import DependencyUnavailable, RequestIdReused
from core.model.message import ImageMessage, first_message
from core.model.request import ImageRequest, ResubmitResult, compare_resubmit


class Sender(Protocol):
    """Sends a message to the queue; its future completes once the message is durable. See core.aws.sqs.SqsQueue."""

    def send_nowait(self, body: str, *, group: str) -> asyncio.Future[None]: ...


class SubmitOperation:
    """A state machine driven by callbacks: the end of each AWS call starts the next one.

        inserting ──────────────► sending ──► done
            │ the id exists          ▲          ▲
            ▼                        │ PENDING  │ terminal, or other content
         reading ────────────────────┴──────────┘

    An error of any call ends the operation too. It has no task of its own, because a task costs more than all of its
    steps. So nothing can cancel it between two steps: if the caller disconnects, the row still gets its message.
    """

    __slots__ = ("_accepted", "_answer", "_on_done", "_request", "_sender", "_tables")
    _answer: asyncio.Future[ImageRequest]

    def __init__(
        self, request: ImageRequest, tables: Tables, sender: Sender, on_done: Callable[[], None]
    ) -> None:
        """`on_done` is called once, before the answer is set, unless `start` raises."""
        self._request = request
        self._accepted = request
        """The request that exists under this id: the submitted one or an earlier one."""
        self._tables = tables
        self._sender = sender
        self._on_done = on_done

    def start(self) -> asyncio.Future[ImageRequest]:
        """Start the insert and return the future answer. Cancelling the future does not stop the operation.

        Raises Overloaded; then nothing was started.
        """
        insert = self._tables.write_nowait(self._tables.statements.insert_request(self._request))
        insert.add_done_callback(self._on_insert)
        # From the future's loop: before Python 3.12, asking for the running loop costs a system call.
        self._answer = insert.get_loop().create_future()
        return self._answer

    def _on_insert(self, insert: asyncio.Future[None]) -> None:
        match insert.exception():
            case None:
                self._send(first_message(self._request))
            case ConditionNotMet():
                # This also happens if the insert was retried because its answer was lost: then the row is our own.
                read = asyncio.ensure_future(self._tables.read_request(self._request.request_id))
                read.add_done_callback(self._on_read)
            case error:
                self._finish(error)

    def _on_read(self, read: asyncio.Future[ImageRequest | None]) -> None:
        if read.cancelled():
            return  # The event loop is closing.
        if error := read.exception():
            self._finish(error)
        elif existing := read.result():
            self._resubmit(existing)
        else:
            self._finish(DependencyUnavailable("the row expired between insert and read"))

    def _resubmit(self, existing: ImageRequest) -> None:
        self._accepted = existing
        match compare_resubmit(existing, self._request):
            case ResubmitResult.CONFLICT:
                self._finish(RequestIdReused("This request_id was accepted with other content."))
            case ResubmitResult.UNFINISHED:
                self._send(first_message(existing).requeued())
            case ResubmitResult.FINISHED:
                self._finish()

    def _send(self, message: ImageMessage) -> None:
        try:
            send = self._sender.send_nowait(message.encode(), group=message.customer_id)
        except Exception as error:  # noqa: BLE001  any error must reach the caller
            self._finish(error)
        else:
            send.add_done_callback(self._on_send)

    def _on_send(self, send: asyncio.Future[None]) -> None:
        self._finish(send.exception())

    def _finish(self, error: BaseException | None = None) -> None:
        self._on_done()
        if self._answer.done():
            return  # Cancelled: the caller has disconnected.
        if error is None:
            self._answer.set_result(self._accepted)
        else:
            self._answer.set_exception(error)
