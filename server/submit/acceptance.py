"""Durable acceptance of one request: row first, then message."""

import asyncio
from collections.abc import Callable
from typing import Any

from core.dynamodb.tables import ConditionNotMet, Tables
from core.errors import DependencyUnavailable, RequestIdReused
from core.model.message import encode_first_message, first_message
from core.model.request import ImageRequest, ResubmitResult, compare_resubmit
from server.lanes.selector import LaneSelector
from server.submit.recent import COPY_DELAY_S, RecentSubmits


class SubmitOperation:
    """A state machine driven by callbacks: the end of each AWS call starts the next one.

        inserting ──────────────► sending ──► done
            │ the id exists          ▲          ▲
            ▼                        │ PENDING  │ terminal, other content, or acknowledged before
         reading ────────────────────┴──────────┘

    A submit whose id was acknowledged a short time ago begins with the read. An error of any call ends the operation
    too. It has no task of its own, because a task costs more than all of its steps. So nothing can cancel it between
    two steps: if the caller disconnects, the row still gets its message.
    """

    __slots__ = (
        "_accepted",
        "_acknowledged",
        "_answer",
        "_bulk",
        "_joined",
        "_lanes",
        "_on_done",
        "_recent",
        "_request",
        "_tables",
    )
    _answer: asyncio.Future[ImageRequest]

    def __init__(
        self,
        request: ImageRequest,
        tables: Tables,
        lanes: LaneSelector,
        recent: RecentSubmits,
        on_done: Callable[[], None],
        *,
        bulk: bool,
    ) -> None:
        """`on_done` is called once, before the answer is set, unless `start` raises.

        `bulk`: whether the caller asks for the bulk lane.
        """
        self._request = request
        self._accepted = request
        """The request that exists under this id: the submitted one or an earlier one."""
        self._tables = tables
        self._lanes = lanes
        self._recent = recent
        self._on_done = on_done
        self._bulk = bulk
        self._acknowledged = False
        """Whether an earlier submit of this id was acknowledged here, and none was inserted since."""
        self._joined: list[tuple[asyncio.Future[ImageRequest], Callable[[], None]]] | None = None

    def start(self) -> asyncio.Future[ImageRequest]:
        """Start the insert and return the future answer. Cancelling the future does not stop the operation.

        Raises Overloaded; then nothing was started.
        """
        request = self._request
        if request.submit_id and self._recent.is_acknowledged(request.request_id):
            self._acknowledged = True
            started: asyncio.Future[Any] = self._read()
        else:
            started = self._insert()
        # From the future's loop: before Python 3.12, asking for the running loop costs a system call.
        self._answer = started.get_loop().create_future()
        return self._answer

    def can_join(self, request: ImageRequest) -> bool:
        """Return whether another submit gets the answer of this one: it has the same id and content."""
        return request.payload_hash == self._request.payload_hash

    def join(self, on_done: Callable[[], None]) -> asyncio.Future[ImageRequest]:
        """Return a future of its own for another caller. `on_done` as for the first one."""
        answer = self._answer.get_loop().create_future()
        if self._joined is None:
            self._joined = []
        self._joined.append((answer, on_done))
        return answer

    def _insert(self) -> asyncio.Future[None]:
        insert = self._tables.write_nowait(self._tables.statements.insert_request(self._request))
        insert.add_done_callback(self._on_insert)
        return insert

    def _read(self) -> asyncio.Future[ImageRequest | None]:
        read = asyncio.ensure_future(self._tables.read_request(self._request.request_id))
        read.add_done_callback(self._on_read)
        return read

    def _on_insert(self, insert: asyncio.Future[None]) -> None:
        match insert.exception():
            case None:
                self._send(encode_first_message(self._request))
            case ConditionNotMet():
                # This also happens if the insert was retried because its answer was lost: then the row is our own.
                self._read()
            case error:
                # The row may have been inserted all the same.
                self._end_send(error)

    def _on_read(self, read: asyncio.Future[ImageRequest | None]) -> None:
        if read.cancelled():
            return  # The event loop is closing.
        if error := read.exception():
            self._finish(error)
        elif existing := read.result():
            self._resubmit(existing)
        elif self._acknowledged:  # The row has expired since.
            self._acknowledged = False
            try:
                self._insert()
            except Exception as error:  # noqa: BLE001  any error must reach the caller
                self._finish(error)
        else:
            self._finish(DependencyUnavailable("the row expired between insert and read"))

    def _resubmit(self, existing: ImageRequest) -> None:
        self._accepted = existing
        match compare_resubmit(existing, self._request):
            case ResubmitResult.CONFLICT:
                self._finish(RequestIdReused("This request_id was accepted with other content."))
            case ResubmitResult.UNFINISHED if not self._acknowledged:
                self._send_again(existing)
            case _:
                self._finish()

    def _send_again(self, existing: ImageRequest) -> None:
        """Send a message of a PENDING request that exists: at once if it may have none, otherwise a delayed copy."""
        if existing.submit_id == self._request.submit_id:
            self._send(encode_first_message(existing))
            return
        copy = first_message(existing).as_copy().encode()
        self._send(copy, delay=0 if self._recent.is_unsent(existing.request_id) else COPY_DELAY_S)

    def _send(self, message: str, *, delay: int = 0) -> None:
        customer_id = self._request.customer_id
        try:
            queue = self._lanes.select(customer_id, bulk=self._bulk)
            send = queue.send_nowait(message, delay=delay, group=customer_id)
        except Exception as error:  # noqa: BLE001  any error must reach the caller
            self._end_send(error)
        else:
            send.add_done_callback(self._on_send)

    def _on_send(self, send: asyncio.Future[None]) -> None:
        self._end_send(send.exception())

    def _end_send(self, error: BaseException | None) -> None:
        """Remember whether the request has a message, and finish."""
        request = self._request
        if not request.submit_id:
            pass  # No other submit has this id.
        elif error is None:
            self._recent.acknowledge(request.request_id)
        else:
            self._recent.fail_to_send(request.request_id)
        self._finish(error)

    def _finish(self, error: BaseException | None = None) -> None:
        self._on_done()
        self._set(self._answer, error)
        for answer, on_done in self._joined or ():
            on_done()
            self._set(answer, error)

    def _set(self, answer: asyncio.Future[ImageRequest], error: BaseException | None) -> None:
        if answer.done():
            return  # Cancelled: the caller has disconnected.
        if error is None:
            answer.set_result(self._accepted)
        else:
            answer.set_exception(error)
