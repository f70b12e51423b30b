"""Faulty versions of the system. The properties must reject each of them, or they would prove nothing."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch

from consumer.notify import finalize
from consumer.worker import handler, pipeline
from consumer.worker.receive_queue import ReceiveQueue
from consumer.worker.received_message import ReceivedMessage
from core.batcher import OK
from core.dynamodb import schema, tables
from core.dynamodb.statements import Statements
from core.model.image import ImageRecord

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

    def changed(self: Statements, *arguments: Any, where: dict[str, Any]) -> Any:
        statement = update(self, *arguments, where=where)
        text, parameters = statement.text, list(statement.parameters)
        before, _, after = text.rpartition(f' AND "{name}"=?')
        del parameters[before.count("?")]
        return type(statement)(statement.key, before + after, tuple(parameters))

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


def ignore_failed_writes() -> AbstractContextManager[Any]:
    outcome = tables._outcome

    def changed(error: Any) -> Any:
        return OK if error and error.code == "InternalServerError" else outcome(error)

    return patch.object(tables, "_outcome", changed)


def read_unprocessed_keys_as_missing() -> AbstractContextManager[Any]:
    decode = tables.decode_rows

    def changed(keys: Any, answer: Any) -> Any:
        return dict.fromkeys(keys) | decode(keys, answer)

    return patch.object(tables, "decode_rows", changed)


def keep_own_image_beside_an_existing_one() -> AbstractContextManager[Any]:
    async def changed(_tables: Any, record: ImageRecord) -> ImageRecord:
        return record

    return patch.object(pipeline, "_resolve_conflict", changed)


MUTANTS: tuple[Mutant, ...] = (
    acknowledge_before_notifying,
    forget_outcomes_that_were_not_notified,
    end_any_revision,
    reopen_in_any_state,
    delete_before_requeuing,
    ignore_failed_writes,
    read_unprocessed_keys_as_missing,
    keep_own_image_beside_an_existing_one,
)
