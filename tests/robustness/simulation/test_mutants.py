"""Faulty versions of the system. The properties reject each of them; otherwise they would prove nothing.

Each mutant has a small plan that exposes it. Hypothesis found most of these plans and shrank them.
"""

import asyncio
import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest

from consumer.jobs import retry_failed
from consumer.jobs.reopen import Retry, retry_of
from consumer.notify import finalize
from consumer.worker import handler, pipeline
from consumer.worker.journal import DeathCounter, JournalEntry
from consumer.worker.polling.poller import Poller
from consumer.worker.polling.slots import Slots
from consumer.worker.receive_queue import ReceiveQueue
from consumer.worker.received_message import ReceivedMessage
from consumer.worker.runner import MessageRunner
from core.aws.batch import MAX_BATCH
from core.batcher import OK, Batcher
from core.dynamodb import schema, tables
from core.dynamodb.answers import decode_rows
from core.dynamodb.statements import Statements
from core.model.image import ImageRecord
from core.model.request import ImageRequest
from robustness.simulation.batcher import BatcherPlan, Item, Result, run_batcher
from robustness.simulation.history import Violation
from robustness.simulation.plan import (
    Action,
    Effect,
    Fault,
    Operation,
    Origin,
    Outage,
    Plan,
    Submit,
)
from robustness.simulation.system import simulate

Mutant = Callable[[], AbstractContextManager[Any]]


async def _do_nothing(*_arguments: Any) -> None:
    pass


def acknowledge_before_notifying() -> AbstractContextManager[Any]:
    notify = finalize.notify

    async def notify_later(*arguments: Any) -> None:
        asyncio.get_running_loop().create_task(notify(*arguments))

    return patch.object(handler, "notify", notify_later)


def forget_outcomes_that_were_not_notified() -> AbstractContextManager[Any]:
    return patch.object(handler, "renotify", _do_nothing)


def end_any_revision() -> AbstractContextManager[Any]:
    return _without_condition(schema.REVISION)


def _without_condition(name: str) -> AbstractContextManager[Any]:
    update = Statements._update

    def changed(self: Statements, *arguments: Any, **options: Any) -> Any:
        statement = update(self, *arguments, **options)
        text, parameters = statement.text, list(statement.parameters)
        before, _, after = text.rpartition(f' AND "{name}"=?')
        del parameters[before.count("?")]
        return replace(statement, text=before + after, parameters=tuple(parameters))

    return patch.object(Statements, "_update", changed)


def reopen_in_any_state() -> AbstractContextManager[Any]:
    update = schema.reopen_update

    def changed(*arguments: Any) -> dict[str, Any]:
        members = update(*arguments)
        terms = members["ConditionExpression"].split(" AND ")
        kept = [term for term in terms if ":failed" not in term and ":before" not in term]
        return {**members, "ConditionExpression": " AND ".join(kept)}

    return patch.object(schema, "reopen_update", changed)


def delete_before_requeuing() -> AbstractContextManager[Any]:
    requeue = ReceiveQueue.requeue

    async def changed(self: ReceiveQueue, message: ReceivedMessage, **options: Any) -> None:
        await self._delete(message)
        await requeue(self, message, **options)

    return patch.object(ReceiveQueue, "requeue", changed)


def delete_before_moving_to_bulk() -> AbstractContextManager[Any]:
    requeue = ReceiveQueue.requeue

    async def changed(self: ReceiveQueue, message: ReceivedMessage, **options: Any) -> None:
        if options.get("lane") not in (None, message.lane):
            await self._delete(message)
        await requeue(self, message, **options)

    return patch.object(ReceiveQueue, "requeue", changed)


def ignore_failed_writes() -> AbstractContextManager[Any]:
    outcome = tables._outcome

    def changed(error: Any) -> Any:
        return OK if error and error.code == "InternalServerError" else outcome(error)

    return patch.object(tables, "_outcome", changed)


def read_unprocessed_keys_as_missing() -> AbstractContextManager[Any]:
    def changed(keys: Any, answer: Any) -> Any:
        return dict.fromkeys(keys) | decode_rows(keys, answer)

    return patch.object(tables, "decode_rows", changed)


def keep_own_image_beside_an_existing_one() -> AbstractContextManager[Any]:
    async def changed(_tables: Any, record: ImageRecord) -> ImageRecord:
        return record

    return patch.object(pipeline, "_resolve_conflict", changed)


def reopen_without_publishing() -> AbstractContextManager[Any]:
    def changed(request: ImageRequest) -> Retry | None:
        retry = retry_of(request)
        return None if retry is None else replace(retry, unpublished=None)

    return patch.object(retry_failed, "retry_of", changed)


def recognize_images_by_closeness_of_times() -> AbstractContextManager[Any]:
    belongs_to = ImageRecord.belongs_to

    def changed(record: ImageRecord, customer_id: str, created_at: int) -> bool:
        return belongs_to(replace(record, request_created_at=0), customer_id, created_at)

    return patch.object(ImageRecord, "belongs_to", changed)


def send_no_heartbeats() -> AbstractContextManager[Any]:
    async def wait_forever(*_arguments: Any) -> None:
        await asyncio.Event().wait()

    return patch.object(ReceiveQueue, "extend_visibility_forever", wait_forever)


def run_messages_without_a_slot() -> AbstractContextManager[Any]:
    return patch.object(Slots, "room", lambda _slots, _lane: MAX_BATCH)


def try_beside_running_work() -> AbstractContextManager[Any]:
    async def changed(runner: MessageRunner) -> None:
        await runner._breaker.wait_for_trial()

    return patch.object(MessageRunner, "wait_for_trial", changed)


def stop_without_a_drain() -> AbstractContextManager[Any]:
    return patch.object(Poller, "_drain", _do_nothing)


def put_equal_keys_into_one_batch() -> AbstractContextManager[Any]:
    def changed(batcher: Any, waiting: Any) -> list[Any]:
        return [waiting.popleft() for _ in range(min(waiting.length, batcher._max_batch))]

    return patch.object(Batcher, "_take_batch", changed)


def drop_retries() -> AbstractContextManager[Any]:
    return patch.object(Batcher, "_requeue", _do_nothing)


def drain_only_running_flushes() -> AbstractContextManager[Any]:
    async def changed(batcher: Any) -> None:
        if batcher._flushes:
            await asyncio.wait(batcher._flushes)

    return patch.object(Batcher, "drain", changed)


def keep_copies_after_an_outage() -> AbstractContextManager[Any]:
    requeue = ReceiveQueue.requeue

    async def changed(self: ReceiveQueue, message: ReceivedMessage, **options: Any) -> None:
        await requeue(self, message, **options | {"before_end": True})

    return patch.object(ReceiveQueue, "requeue", changed)


def delete_copies_that_were_received_before() -> AbstractContextManager[Any]:
    silent = property(lambda message: message.message.copy)
    return patch.object(ReceivedMessage, "needs_no_end", silent)


def count_a_death_again() -> AbstractContextManager[Any]:
    async def changed(self: DeathCounter, entry: JournalEntry) -> None:
        while (request := await self._tables.read_request(entry.request_id)) is not None:
            with contextlib.suppress(tables.ConditionNotMet):
                await self._tables.write(self._tables.statements.count_death(request, entry.id))
                return

    return patch.object(DeathCounter, "_count", changed)


def record_images_before_they_are_fetched() -> AbstractContextManager[Any]:
    isolation = DeathCounter.isolation

    def changed(self: DeathCounter, request: ImageRequest | None) -> Any:
        recorded = isolation(self, request)
        recorded.begin()
        return recorded

    return patch.object(DeathCounter, "isolation", changed)


REQUEST_MUTANTS: dict[Mutant, Plan] = {
    acknowledge_before_notifying: Plan(0, (Submit(0),)),
    forget_outcomes_that_were_not_notified: Plan(0, (Submit(0),), outages=(Outage("sns", 0, 3),)),
    end_any_revision: Plan(
        0,
        (Submit(0, (Origin.SLOW, Origin.PERMANENT, Origin.VERY_SLOW)),),
        (Fault("ReceiveMessage", 0, Effect.DUPLICATE),),
        operations=(Operation(1, Action.RETRY_QUEUE, times=8, every_s=5),),
        consumers=2,
    ),
    # The first retry-failed is killed before it deletes its message, and a later one receives it again.
    reopen_in_any_state: Plan(
        0,
        (Submit(0, (Origin.PERMANENT,)),),
        (Fault("DeleteMessageBatch", 1, Effect.KILL_BEFORE),),
        operations=(Operation(5, Action.RETRY_QUEUE, times=2, every_s=1_000),),
    ),
    delete_before_requeuing: Plan(0, (Submit(0, (Origin.BUSY,)),)),
    delete_before_moving_to_bulk: Plan(
        0, (Submit(0, (Origin.SLOW,)),) * 14, concurrency=2, two_lanes=True
    ),
    ignore_failed_writes: Plan(
        0, (Submit(0),), (Fault("BatchExecuteStatement", 0, Effect.ENTRIES_FAIL),)
    ),
    read_unprocessed_keys_as_missing: Plan(
        0, (Submit(0, (Origin.BUSY,)),), (Fault("BatchGetItem", 0, Effect.ENTRIES_FAIL),)
    ),
    # The second consumer is killed after it has inserted the image record, while the first one still fetches.
    keep_own_image_beside_an_existing_one: Plan(
        0,
        (Submit(0, (Origin.SLOW,)),),
        (
            Fault("ReceiveMessage", 0, Effect.DUPLICATE),
            Fault("BatchExecuteStatement", 1, Effect.KILL_AFTER),
        ),
        consumers=2,
        concurrency=1,
    ),
    reopen_without_publishing: Plan(
        0,
        (Submit(0, (Origin.PERMANENT,)),),
        outages=(Outage("sns", 0, 30),),
        operations=(Operation(10, Action.RETRY_IDS),),
    ),
    recognize_images_by_closeness_of_times: Plan(
        0,
        (Submit(0),),
        (Fault("BatchExecuteStatement", 1, Effect.KILL_AFTER),),
        consumers=2,
        skews=(90, -90, -90),
    ),
    # The server is killed before it sends the first message, so the copy is the only one.
    keep_copies_after_an_outage: Plan(
        0,
        (Submit(0, repeats=1, again_s=5),),
        (Fault("SendMessageBatch", 0, Effect.KILL_BEFORE),),
        outages=(Outage("sns", 100, 40),),
        lasts=300,
    ),
    delete_copies_that_were_received_before: Plan(
        0,
        (Submit(0, repeats=1, again_s=5),),
        (
            Fault("SendMessageBatch", 0, Effect.KILL_BEFORE),
            Fault("PublishBatch", 0, Effect.KILL_BEFORE),
        ),
        lasts=300,
    ),
    # The write of the count is the second one: the row was inserted, and nothing else was written.
    count_a_death_again: Plan(
        0,
        (Submit(0, (Origin.POISON, Origin.POISON)),),
        (Fault("BatchExecuteStatement", 1, Effect.LOST),),
        lasts=300,
    ),
    # The consumer is killed beside others, then by the retry of a fetch that follows a poll.
    record_images_before_they_are_fetched: Plan(
        0,
        (Submit(0, (Origin.POISON, Origin.VERY_SLOW)), Submit(130, (Origin.POISON,))),
    ),
    send_no_heartbeats: Plan(0, (Submit(0, (Origin.VERY_SLOW,)),), lasts=400, strict_workers=True),
    run_messages_without_a_slot: Plan(0, (Submit(0, (Origin.SLOW,)),) * 20, concurrency=1),
    try_beside_running_work: Plan(
        0, (Submit(0, (Origin.SLOW,)), Submit(0), Submit(2)), outages=(Outage("s3", 0, 30),)
    ),
    stop_without_a_drain: Plan(
        0,
        (Submit(0, (Origin.SLOW,)),),
        operations=(Operation(2, Action.STOP_CONSUMER),),
        strict_workers=True,
    ),
}

_ITEMS = tuple(Item(name, name % 2, 0.0, Result.OK, None) for name in range(4))
_RETRIED = (Item(0, 0, 0.0, Result.RETRY, None), *_ITEMS[1:])
_BATCHER_PLAN = BatcherPlan(
    seed=0,
    items=_ITEMS,
    effects=(),
    max_batch=2,
    max_flushes=1,
    max_pending=100,
    linger=0.0,
    drain_at=0.0,
)

BATCHER_MUTANTS: dict[Mutant, BatcherPlan] = {
    put_equal_keys_into_one_batch: replace(_BATCHER_PLAN, items=_ITEMS[::2]),
    drop_retries: replace(_BATCHER_PLAN, items=_RETRIED),
    drain_only_running_flushes: replace(_BATCHER_PLAN, drain_at=0.05),
}


@pytest.mark.parametrize("mutant", REQUEST_MUTANTS)
def test_the_properties_reject_a_faulty_system(mutant: Mutant) -> None:
    """They hold for the real one with the same plan."""
    plan = REQUEST_MUTANTS[mutant]
    simulate(plan)
    with mutant(), pytest.raises(Violation):
        simulate(plan)


@pytest.mark.parametrize("mutant", BATCHER_MUTANTS)
def test_the_properties_reject_a_faulty_batcher(mutant: Mutant) -> None:
    """They hold for the real one with the same plan."""
    plan = BATCHER_MUTANTS[mutant]
    run_batcher(plan)
    with mutant(), pytest.raises((AssertionError, TimeoutError)):
        run_batcher(plan)
