"""Submits under way: nobody who leaves stops one, and nobody who stays waits in vain."""

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
from harness.virtual_time import run_virtually
from server.submit.admission import SubmitAdmission, new_image_request
from server.validation import ValidSubmit

CALL_S = 0.1


class Wire:
    """AWS: each call takes CALL_S; one of `failing` then raises. Keeps the messages that were sent."""

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


def submissions_on(wire: Wire, max_pending: int = 100) -> SubmitAdmission:
    service = cast("JsonService", cast("Any", wire))
    tables = Tables(cast("Any", None), service, Statements("requests", "images"))
    return SubmitAdmission(tables, SqsQueue(service, "queue"), max_pending=max_pending)


def offered() -> ImageRequest:
    return new_image_request(ValidSubmit("https://a.example/1", "acme", None, {}))


@pytest.mark.parametrize("leaves_after", [0, CALL_S / 2, 3 * CALL_S / 2])
def test_whoever_leaves_stops_nothing(leaves_after: float) -> None:
    """Cancelled before, while or after the row is written, a submit still sends its message, and a drain waits."""

    async def scenario() -> None:
        wire = Wire()
        submissions = submissions_on(wire)
        request = offered()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(submissions.begin(request), leaves_after)
        assert wire.sent == []
        await submissions.settled()
        assert wire.sent == [request.request_id]

    run_virtually(scenario())


@pytest.mark.parametrize("operation", ["BatchExecuteStatement", "SendMessageBatch"])
def test_an_error_reaches_whoever_waits_and_nobody_else(operation: str) -> None:
    """One caller hears of the outage, one has left; asyncio is told of no error that nobody looked at."""

    async def scenario() -> None:
        wire = Wire()
        wire.failing[operation] = OSError("away")
        submissions = submissions_on(wire)
        unheard: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, said: unheard.append(said))
        submissions.begin(offered()).cancel()
        with pytest.raises(DependencyUnavailable):
            await submissions.begin(offered())
        await submissions.settled()
        gc.collect()
        await asyncio.sleep(0)
        assert unheard == []

    run_virtually(scenario())


def test_what_cannot_be_sent_leaves_nobody_waiting() -> None:
    """A queue whose list is full refuses at once, in the midst of a submit; the caller hears of that."""

    class Full(SqsQueue):
        def send_nowait(self, *_: object, **__: object) -> asyncio.Future[None]:
            raise Overloaded("full")

    async def scenario() -> None:
        wire = Wire()
        submissions = submissions_on(wire)
        submissions._sender = Full(cast("JsonService", cast("Any", wire)), "queue")
        with pytest.raises(Overloaded):
            await submissions.begin(offered())
        await submissions.settled()

    run_virtually(scenario())


def test_a_place_is_free_again_when_the_work_is_done() -> None:
    """A caller that leaves keeps its place until its submit has ended."""

    async def scenario() -> None:
        submissions = submissions_on(Wire(), max_pending=1)
        submissions.begin(offered()).cancel()
        with pytest.raises(Overloaded):
            submissions.begin(offered())
        await submissions.settled()
        request = offered()
        assert await submissions.begin(request) == request

    run_virtually(scenario())
