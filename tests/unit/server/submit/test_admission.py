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
from server.capacity import Capacity
from server.lanes.rate import InteractiveRate
from server.lanes.selector import LaneSelector
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
    return admission_with(wire, Capacity("submits", max_pending))


def admission_with(wire: Wire, capacity: Capacity) -> SubmitAdmission:
    service = cast("JsonService", cast("Any", wire))
    tables = Tables(service, Statements("requests", "images"))
    lanes = LaneSelector(SqsQueue(service, "queue"), None, InteractiveRate(20, 100))
    return SubmitAdmission(tables, lanes, capacity)


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
        admission._lanes._interactive = Full(cast("JsonService", cast("Any", wire)), "queue")
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


def request_of(customer: str) -> ImageRequest:
    return parse_submit(submit_request(customer=customer), {})


async def stream_of(
    admission: SubmitAdmission, customer: str, items: int, accepted: list[str]
) -> None:
    """Submit items as a stream does, and record the customer of each when it has been accepted."""
    for _ in range(items):
        while admission.must_wait(customer):
            await admission.wait_for_capacity(customer)
        answer = admission.submit_streamed(request_of(customer))
        answer.add_done_callback(lambda _: accepted.append(customer))


async def answered(admission: SubmitAdmission) -> None:
    """Wait until every submit is done and its callbacks have run."""
    await admission.wait_idle()
    await asyncio.sleep(CALL_S)


def test_a_stream_does_not_wait_for_the_streams_of_another_customer() -> None:
    """Ten streams of one customer use all capacity of streams; another customer's stream gets its share at once."""

    async def scenario() -> None:
        admission = admission_on(Wire(), max_pending=20)
        accepted: list[str] = []
        async with asyncio.TaskGroup() as group:
            for _ in range(10):
                group.create_task(stream_of(admission, "greedy", 20, accepted))
            await asyncio.sleep(CALL_S / 2)
            group.create_task(stream_of(admission, "other", 10, accepted))
        await answered(admission)
        # The first ten of the greedy customer were in progress. Both then had equal shares.
        assert accepted[:40].count("other") == 10
        assert (accepted.count("greedy"), len(accepted)) == (200, 210)

    run_virtually(scenario())


def test_streams_of_many_customers_take_turns() -> None:
    """More customers than places: none has to wait for the end of another one's stream."""

    async def scenario() -> None:
        admission = admission_on(Wire(), max_pending=4)
        accepted: list[str] = []
        async with asyncio.TaskGroup() as group:
            for number in range(8):
                group.create_task(stream_of(admission, f"customer-{number}", 10, accepted))
        await answered(admission)
        counts = [accepted[:40].count(f"customer-{number}") for number in range(8)]
        assert min(counts) >= 3, counts
        assert len(accepted) == 80

    run_virtually(scenario())


def test_a_stream_that_is_cancelled_while_it_waits_passes_its_turn_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whether it was woken already or not."""

    async def scenario(*, woken: bool) -> None:
        admission = admission_on(Wire(), max_pending=2)
        accepted: list[str] = []
        admission.submit_streamed(request_of("a"))
        waiting = [asyncio.create_task(stream_of(admission, "a", 1, accepted)) for _ in range(3)]
        await asyncio.sleep(0)
        if woken:
            gate = admission._gate
            wake = gate.wake
            monkeypatch.setattr(gate, "wake", lambda name: (wake(name), waiting[0].cancel()))
        else:
            waiting[0].cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await answered(admission)
        assert (waiting[0].cancelled(), accepted) == (True, ["a", "a"])

    for woken in (True, False):
        run_virtually(scenario(woken=woken))


def test_a_unary_submit_beyond_the_share_is_refused() -> None:
    """The customer that holds all places gets RESOURCE_EXHAUSTED; the others are accepted."""

    async def scenario() -> None:
        admission = admission_on(Wire(), max_pending=8)
        answers = [admission.submit(request_of("greedy")) for _ in range(8)]
        answers += [admission.submit(request_of("other")) for _ in range(4)]
        for customer in ("greedy", "other"):
            with pytest.raises(Overloaded):
                admission.submit(request_of(customer))
        await asyncio.gather(*answers)

    run_virtually(scenario())


LONGEST = "http://e.example/".ljust(8_186, "a")


@pytest.mark.parametrize(
    ("url", "admitted"),
    [(LONGEST[:2_600], 99), (LONGEST + "aaaa", 33), (LONGEST + "\U0001f600", 9)],
    ids=["presigned", "longest", "wide"],
)
@pytest.mark.parametrize("streamed", [False, True])
def test_a_submit_takes_places_by_the_memory_of_its_url(
    url: str, admitted: int, *, streamed: bool
) -> None:
    """So long URLs do not multiply the memory of the submits in progress; all places are free afterwards."""

    async def scenario() -> None:
        wire, capacity = Wire(), Capacity("submits", 99)
        admission = admission_with(wire, capacity)
        submit = admission.submit_streamed if streamed else admission.submit
        answers = [submit(parse_submit(submit_request(url=url), {})) for _ in range(admitted)]
        assert capacity.total == 99
        with pytest.raises(Overloaded):
            admission.submit(request())
        await asyncio.gather(*answers)
        await admission.wait_idle()
        assert (capacity.total, len(wire.sent)) == (0, admitted)

    run_virtually(scenario())


def test_the_longest_url_is_admitted_to_the_smallest_server() -> None:
    """One place is enough."""

    async def scenario() -> None:
        admission = admission_on(Wire(), max_pending=1)
        await admission.submit(parse_submit(submit_request(url=LONGEST + "\U0001f600"), {}))

    run_virtually(scenario())
