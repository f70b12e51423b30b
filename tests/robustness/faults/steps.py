"""The steps of the programs: the kinds of the calls that they make to AWS. Pure.

A step is `<service> <operation> <detail>`. The detail is the queue, the table, or the statement, so that each write of
the state machine is a step of its own. A batch has the steps of all its entries.
"""

import re
from typing import Any

import orjson

from harness.aws_proxy import ProxiedCall

_STATEMENT = re.compile(r'(INSERT INTO|UPDATE|SELECT .*?FROM|DELETE FROM)\s+"?([\w.-]+)"?')
_UPDATES = (
    ("imageId", "complete"),
    ("failureCode", "fail"),
    ("runId", "count death"),
    ("failureShard", "reopen"),
)
"""A column in the SET clause, and the write that sets it."""
_QUEUES = {
    "queue": "queue",
    "dead-letters": "failed-requests",
    "undelivered": "dlq",
    "search": "search",
    "search-dead-letters": "search dlq",
}


def steps_of(call: ProxiedCall) -> list[str]:
    """Return the steps of a call, without repeats."""
    match call.service:
        case "dynamodb":
            details = _dynamodb(call.operation, orjson.loads(call.body))
        case "sqs":
            url = str(orjson.loads(call.body).get("QueueUrl", ""))
            details = [_queue(url)]
        case _:
            details = [""]
    name = f"{call.service} {call.operation}"
    return list(dict.fromkeys(f"{name} {detail}".strip() for detail in details))


def _queue(url: str) -> str:
    """Return a queue's name without the prefix of the stack, which has no hyphen."""
    suffix = url.rpartition("/")[2].partition("-")[2]
    return _QUEUES.get(suffix, suffix)


def _dynamodb(operation: str, body: dict[str, Any]) -> list[str]:
    if operation == "BatchExecuteStatement":
        return [_statement(each["Statement"]) for each in body["Statements"]]
    if operation == "ExecuteStatement":
        return [_statement(body["Statement"])]
    if "RequestItems" in body:
        return [_table(name) for name in body["RequestItems"]]
    index = f" {body['IndexName']}" if "IndexName" in body else ""
    return [_table(body.get("TableName", "")) + index]


def _statement(text: str) -> str:
    found = _STATEMENT.match(text)
    if found is None:
        return "unknown statement"
    verb, table = found[1].split()[0].lower(), _table(found[2])
    if verb != "update":
        return f"{verb} {table}"
    if " REMOVE " in text:
        return "keep failed"
    columns = text.partition(" SET ")[2].partition(" WHERE ")[0]
    for column, name in _UPDATES:
        if f'"{column}"' in columns:
            return name
    return "claim" if columns.startswith('"claims"') else "touch"


def _table(name: str) -> str:
    return name.partition("-")[2] or name
