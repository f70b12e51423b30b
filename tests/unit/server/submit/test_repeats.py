"""Repeated submits: how many messages they send, with which delay, and who gets which answer."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from core.dynamodb.statements import Statement, Statements
from core.dynamodb.tables import ConditionNotMet
from core.errors import DependencyUnavailable, RequestIdReused
from core.model.message import ImageMessage, decode_message
from core.model.request import ImageRequest, State
from harness.grpc_client import submit_request
from harness.virtual_time import run_virtually
from server.capacity import Capacity
from server.lanes.rate import InteractiveRate
from server.lanes.selector import LaneSelector
from server.submit.admission import SubmitAdmission
from server.submit.recent import COPY_DELAY_S, RecentSubmits
from server.validation import parse_submit

ID = "11111111-1111-4111-8111-111111111111"
CALL_S = 0.1


@dataclass
class Aws:
    """Stands for Tables and the queue of several servers. Each call takes CALL_S."""

    rows: dict[str, ImageRequest] = field(default_factory=dict)
    sent: list[tuple[ImageMessage, int]] = field(default_factory=list)
    """Messages, and their delays in seconds."""
    reads: int = 0
    inserts: int = 0
    next_insert: ImageRequest | None = None
    lose_inserts: int = 0
    """Inserts that are done twice: the answer to the first try is lost."""
    fail_sends: int = 0
    statements: Statements = field(default_factory=lambda: Statements("requests", "images"))

    def write_nowait(self, statement: Statement) -> asyncio.Future[None]:
        request = self.next_insert
        assert request is not None
        assert statement.key[1] == request.request_id
        return asyncio.ensure_future(self._insert(request))

    async def _insert(self, request: ImageRequest) -> None:
        await asyncio.sleep(CALL_S)
        self.inserts += 1
        existed = request.request_id in self.rows
        self.rows.setdefault(request.request_id, request)
        if self.lose_inserts:
            self.lose_inserts -= 1
            existed = True
        if existed:
            raise ConditionNotMet

    async def read_request(self, request_id: str) -> ImageRequest | None:
        await asyncio.sleep(CALL_S)
        self.reads += 1
        return self.rows.get(request_id)

    def send_nowait(self, body: str, *, delay: int = 0, group: str = "") -> asyncio.Future[None]:
        del group
        return asyncio.ensure_future(self._send(body, delay))

    async def _send(self, body: str, delay: int) -> None:
        await asyncio.sleep(CALL_S)
        if self.fail_sends:
            self.fail_sends -= 1
            raise DependencyUnavailable("the queue is away")
        self.sent.append((decode_message(body), delay))


@dataclass
class Server:
    aws: Aws
    admission: SubmitAdmission

    def submit(self, request_id: str = ID, **members: Any) -> asyncio.Future[ImageRequest]:
        request = parse_submit(submit_request(request_id, **members), {})
        self.aws.next_insert = request
        return self.admission.submit(request)


def server(aws: Aws) -> Server:
    tables: Any = aws
    queue: Any = aws
    lanes = LaneSelector(queue, None, InteractiveRate(20, 100))
    return Server(aws, SubmitAdmission(tables, lanes, Capacity("submits", 100)))


def run(scenario: Callable[[Aws, Server], Any]) -> Aws:
    aws = Aws()
    run_virtually(scenario(aws, server(aws)))
    return aws


def test_concurrent_submits_share_one_operation() -> None:
    """Each gets the same answer. One that leaves takes no other along."""

    async def scenario(_aws: Aws, one: Server) -> None:
        first, second, third = (one.submit() for _ in range(3))
        await asyncio.sleep(CALL_S / 2)
        second.cancel()
        assert await first == await third
        await one.admission.wait_idle()

    aws = run(scenario)
    assert (aws.inserts, aws.reads, len(aws.sent)) == (1, 0, 1)


def test_an_error_reaches_all_who_joined() -> None:
    """The next submit sends the message at once: this server knows that there may be none."""

    async def scenario(aws: Aws, one: Server) -> None:
        aws.fail_sends = 1
        results = await asyncio.gather(*(one.submit() for _ in range(3)), return_exceptions=True)
        assert [type(result) for result in results] == [DependencyUnavailable] * 3
        await one.submit()
        await one.submit()

    aws = run(scenario)
    assert [(message.copy, delay) for message, delay in aws.sent] == [(True, 0)]


def test_other_content_does_not_join() -> None:
    """It is rejected, and the first one goes on."""

    async def scenario(_aws: Aws, one: Server) -> None:
        first, other = one.submit(), one.submit(url="https://a.example/other")
        with pytest.raises(RequestIdReused):
            await other
        assert (await first).request_id == ID
        with pytest.raises(RequestIdReused):
            await one.submit(url="https://a.example/other")

    aws = run(scenario)
    assert len(aws.sent) == 1


def test_a_repeat_within_the_delay_only_reads() -> None:
    """Afterwards it sends one copy, and then only reads again."""

    async def scenario(aws: Aws, one: Server) -> None:
        for _ in range(10):
            assert (await one.submit()).state is State.PENDING
        assert (aws.inserts, aws.reads, len(aws.sent)) == (1, 9, 1)
        await asyncio.sleep(COPY_DELAY_S)
        for _ in range(10):
            await one.submit()

    aws = run(scenario)
    assert [(each.copy, each.resent, delay) for each, delay in aws.sent] == [
        (False, False, 0),
        (True, True, COPY_DELAY_S),
    ]


def test_another_server_sends_one_delayed_copy() -> None:
    """It cannot know whether the first message was sent."""

    async def scenario(aws: Aws, one: Server) -> None:
        other = server(aws)
        await one.submit()
        for _ in range(3):
            await other.submit()

    aws = run(scenario)
    assert [(each.copy, delay) for each, delay in aws.sent] == [(False, 0), (True, COPY_DELAY_S)]


@pytest.mark.parametrize("request_id", [ID, ""], ids=["chosen id", "id of the server"])
def test_an_insert_whose_answer_was_lost_is_no_repeat(request_id: str) -> None:
    """The row is the submit's own, so its message is the first one."""

    async def scenario(aws: Aws, one: Server) -> None:
        aws.lose_inserts = 1
        await one.submit(request_id)

    aws = run(scenario)
    assert [(each.copy, each.resent, delay) for each, delay in aws.sent] == [(False, False, 0)]


def test_two_servers_at_the_same_moment_send_one_message_without_a_delay() -> None:
    """The times of the two submits are equal to the millisecond, so they do not tell whose row it is."""

    async def scenario(aws: Aws, one: Server) -> None:
        other = server(aws)
        first = one.submit()
        await asyncio.sleep(CALL_S * 2)
        await asyncio.gather(first, other.submit())

    aws = run(scenario)
    assert [delay for _, delay in aws.sent] == [0, COPY_DELAY_S]


def test_a_row_that_has_expired_is_inserted_again() -> None:
    """The id was acknowledged a short time ago, and is free again."""

    async def scenario(aws: Aws, one: Server) -> None:
        await one.submit()
        aws.rows.clear()
        await one.submit()

    aws = run(scenario)
    assert (aws.inserts, len(aws.sent)) == (2, 2)


def test_the_memory_is_bounded() -> None:
    """The oldest ids are forgotten first, and all after the delay."""

    async def scenario() -> None:
        recent = RecentSubmits(ids_max=3)
        for number in range(5):
            recent.acknowledge(str(number))
            recent.fail_to_send(f"unsent {number}")
        assert [recent.is_acknowledged(str(number)) for number in range(5)] == [False] * 2 + [
            True
        ] * 3
        assert [recent.is_unsent(f"unsent {number}") for number in range(5)] == [False] * 2 + [
            True
        ] * 3
        await asyncio.sleep(COPY_DELAY_S)
        assert not recent.is_acknowledged("4")
        for number in range(5, 9):
            recent.acknowledge(str(number))
        assert len(recent._acknowledged) == 3

    run_virtually(scenario())
