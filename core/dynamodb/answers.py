"""Decoders of DynamoDB's answers: one for each operation. Pure.

The members and their types are those of the output shapes in DynamoDB's service model. That model requires none of
them, so the API reference decides which are always there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from core.answers import MalformedAnswer, member, optional_member
from core.dynamodb.schema import Item

Answer = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class StatementError:
    """Why one statement of a batch had no effect. `code` is one of BatchStatementErrorCodeEnum."""

    code: str
    message: str


class RowKey(NamedTuple):
    """The key of a row: its table, and the name and value of the key attribute. A tuple, because it is hashed often."""

    table: str
    name: str
    value: str


class Page(NamedTuple):
    """One page of a Query or Scan. `scanned` is the number of rows read, before the filter.

    `last` is the key to continue after, None at the end.
    """

    items: list[Item]
    scanned: int
    last: Item | None


def decode_statements(count: int, answer: Answer) -> list[StatementError | None]:
    """Decode a BatchExecuteStatement of `count` statements: the error of each, or None, in order."""
    responses = member(answer, "Responses", list)
    if len(responses) != count:
        raise MalformedAnswer(f"{len(responses)} responses to {count} statements")
    return [_statement_error(response) for response in responses]


def _statement_error(response: Answer) -> StatementError | None:
    error = optional_member(response, "Error", dict, {})
    if not error:
        return None
    return StatementError(member(error, "Code", str), optional_member(error, "Message", str, ""))


def decode_rows(keys: Sequence[RowKey], answer: Answer) -> dict[RowKey, Item | None]:
    """Decode a BatchGetItem: the row of each key, or None if there is none. Unprocessed keys are left out.

    A row that is in no list does not exist, so every list must be there: one for each table, unless all of its keys are
    unprocessed. A row that was not asked for shows that the answer belongs to another call: it says nothing about the
    rows of this one.
    """
    responses = member(answer, "Responses", dict)
    unprocessed = optional_member(answer, "UnprocessedKeys", dict, {})
    names = {key.table: key.name for key in keys}
    rows: list[tuple[RowKey, Item]] = []
    for table in responses:
        rows += _keyed(table, names[table], member(responses, table, list))
    left: list[tuple[RowKey, Item]] = []
    for table in unprocessed:
        left += _keyed(table, names[table], member(unprocessed[table], "Keys", list))
    found, skipped = dict(rows), dict(left)
    if len(found) != len(rows) or not (found.keys() | skipped.keys()) <= set(keys):
        raise MalformedAnswer("a row that was not asked for, or twice the same row")
    if names.keys() != responses.keys() and (
        missing := {key.table for key in keys if key not in skipped} - responses.keys()
    ):
        raise MalformedAnswer(f"no list of rows for {missing}")
    return {key: found.get(key) for key in keys if key not in skipped}


def _keyed(table: str, name: str, items: list[Item]) -> list[tuple[RowKey, Item]]:
    """Return rows with their keys."""
    return [(RowKey(table, name, item[name]["S"]), item) for item in items]


def decode_page(limit: int, answer: Answer) -> Page:
    """Decode a Query or Scan with this Limit."""
    items, scanned = member(answer, "Items", list), member(answer, "ScannedCount", int)
    if not len(items) == member(answer, "Count", int) <= scanned <= limit:
        raise MalformedAnswer(f"{len(items)} items, {answer['Count']} counted, {scanned} scanned")
    for item in items:
        if type(item) is not dict:
            raise MalformedAnswer(f"an item of type {type(item).__name__}")
    # The API reference says "empty" of both: the key is missing, or it has no attributes.
    return Page(items, scanned, optional_member(answer, "LastEvaluatedKey", dict, {}) or None)


def decode_item_count(answer: Answer) -> int:
    """Decode a DescribeTable: the approximate number of rows."""
    return member(member(answer, "Table", dict), "ItemCount", int)
