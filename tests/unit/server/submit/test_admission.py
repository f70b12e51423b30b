"""Submits in progress: a disconnected caller does not stop one, and every other caller gets an answer."""

import asyncio
import gc
from collections.abc import Mapping
from typing import Any, cast

import pytest

from core.aws.http import JsonService
from core.aws.sqs import SqsQueue
from core.dynamodb.statements import Statements
from core.dynamodb.tables import Tables
from core.errors import DependencyUnavailable, Overloaded
from core.model.message import decode_message
from core.model.request import ImageRequest
from harness.grpc_client import submit_request
from harness.virtual_time import run_virtually
from server.submit.admission import SubmitAdmission
from server.validation import parse_submit

CALL_S = 0.1


class Wire:
    """AWS: each call takes CALL_S; operations in `failing` then raise. Records the messages that were sent."""

    def __init__(self) -> None:
        self.failing: dict[str, Exception] = {}
        self.sent: list[str] = []

    async def invoke(self, operation: str, members: Mapping[str, Any]) -> dict[str, Any]:
        await asyncio.sleep(CALL_S)
        if operation in self.failing:
            raise self.failing[operation]
        if operation == "BatchExecuteStatement":
            return {"Responses": [{} for _ in members["Statements"]]}
        self.sent += [decode_message(each["MessageBody"]).request_id for each in members["Entries"]]
        return {"Successful": [{"Id": each["Id"]} for each in members["Entries"]]}


def admission_on(wire: Wire, max_pending: int = 100) -> SubmitAdmission:
    service = cast("JsonService", cast("Any", wire))
    tables = Tables(service, Statements("requests", "images"))
    return SubmitAdmission(tables, SqsQueue(service, "queue"), max_pending=max_pending)


def request() -> ImageRequest:
    return parse_submit(submit_request(), {})


@pytest.mark.parametrize("leaves_after", [0, CALL_S / 2, 3 * CALL_S / 2])
def test_a_disconnected_caller_stops_nothing(leaves_after: float) -> None:
    """Cancelled before, during or after the insert, a submit still sends its message, and a drain waits for it."""

    async def scenario() -> None:
        wire = Wire()
        admission = admission_on(wire)
        submitted = request()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(admission.submit(submitted), leaves_after)
        assert wire.sent == []
        await admission.wait_idle()
        assert wire.sent == [submitted.request_id]

    run_virtually(scenario())


@pytest.mark.parametrize("operation", ["BatchExecuteStatement", "SendMessageBatch"])
def test_an_error_reaches_the_waiting_caller_only(operation: str) -> None:
    """One caller gets the error, one has disconnected; asyncio reports no unretrieved exception."""

    async def scenario() -> None:
        wire = Wire()
        wire.failing[operation] = OSError("away")
        admission = admission_on(wire)
        reported: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, each: reported.append(each))
        admission.submit(request()).cancel()
        with pytest.raises(DependencyUnavailable):
            await admission.submit(request())
        await admission.wait_idle()
        gc.collect()
        await asyncio.sleep(0)
        assert reported == []

    run_virtually(scenario())


def test_a_full_queue_sender_fails_the_submit() -> None:
    """If the sender raises in the middle of a submit, the caller gets the error."""

    class Full(SqsQueue):
        def send_nowait(self, *_: object, **__: object) -> asyncio.Future[None]:
            raise Overloaded("full")

    async def scenario() -> None:
        wire = Wire()
        admission = admission_on(wire)
        admission._sender = Full(cast("JsonService", cast("Any", wire)), "queue")
        with pytest.raises(Overloaded):
            await admission.submit(request())
        await admission.wait_idle()

    run_virtually(scenario())


def test_capacity_is_free_again_when_the_submit_is_done() -> None:
    """The submit of a disconnected caller counts until it has ended."""

    async def scenario() -> None:
        admission = admission_on(Wire(), max_pending=1)
        admission.submit(request()).cancel()
        with pytest.raises(Overloaded):
            admission.submit(request())
        await admission.wait_idle()
        submitted = request()
        assert await admission.submit(submitted) == submitted

    run_virtually(scenario())
