"""Answers that AWS gives when something is wrong: errors, partial failures of batches, messages out of order.

Codes: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html,
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/CommonErrors.html and
https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
"""

import random
import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from urllib.parse import parse_qsl, urlencode

import orjson
from aiohttp import web

from harness.aws_proxy import Forward, ProxiedCall

BATCHES = (
    "BatchExecuteStatement|BatchGetItem|PublishBatch|"
    "SendMessageBatch|DeleteMessageBatch|ChangeMessageVisibilityBatch"
)
"""The operations that `partial` knows."""
_JSON = "application/x-amz-json-1.0"
_XML = "text/xml"
_FAILED_SHARE = 0.35
_STATEMENT_ERRORS = (
    "InternalServerError",
    "ThrottlingError",
    "ProvisionedThroughputExceeded",
    "RequestLimitExceeded",
    "TransactionConflict",
)
_ENTRY_ERRORS = ("InternalError", "ServiceUnavailable", "RequestThrottled", "KmsThrottled")
_THROTTLES = {
    "dynamodb": "ProvisionedThroughputExceededException",
    "sqs": "RequestThrottled",
    "monitoring": "Throttling",
    "sns": "Throttling",
    "s3": "SlowDown",
}
_ENTRY = re.compile(r"PublishBatchRequestEntries\.member\.(\d+)\.(.+)")


class Partly(StrEnum):
    """How entries of a batch fail."""

    SKIPPED = "skipped"
    """Not done, and reported."""
    DONE = "done"
    """Done, and reported as failed."""
    OMITTED = "omitted"
    """Done, and not in the answer."""


def error(call: ProxiedCall, rng: random.Random) -> web.Response:
    """Return a 5xx error."""
    status = rng.choice((500, 502, 503))
    if call.service in {"dynamodb", "sqs"}:
        return _json({"__type": "InternalServerError", "message": "injected"}, status)
    body = "<ErrorResponse><Error><Code>InternalError</Code></Error></ErrorResponse>"
    return web.Response(text=body, status=status, content_type=_XML)


def throttled(call: ProxiedCall) -> web.Response:
    code = _THROTTLES.get(call.service, "Throttling")
    if call.service in {"dynamodb", "sqs"}:
        return _json({"__type": f"com.amazonaws#{code}", "message": "slow down"}, 400)
    inner = f"<Error><Code>{code}</Code><Message>slow down</Message></Error>"
    body = inner if call.service == "s3" else f"<ErrorResponse>{inner}</ErrorResponse>"
    return web.Response(text=body, status=503 if call.service == "s3" else 400, content_type=_XML)


def empty(call: ProxiedCall) -> web.Response:
    """Return a success without any member."""
    if call.service in {"dynamodb", "sqs"}:
        return _json({})
    return web.Response(content_type=_XML)


async def held_for(seconds: int, call: ProxiedCall, forward: Forward) -> web.Response:
    """Receive messages with another visibility timeout."""
    return await forward(orjson.dumps({**orjson.loads(call.body), "VisibilityTimeout": seconds}))


async def partial(call: ProxiedCall, forward: Forward, rng: random.Random) -> web.Response:
    """Let some entries of a batch fail."""
    how = rng.choice(list(Partly))
    match call.operation:
        case "BatchExecuteStatement":
            return await _statements(call, forward, rng, how)
        case "BatchGetItem":
            return await _unprocessed_keys(call, forward, rng)
        case "PublishBatch":
            return await _published(call, forward, rng, how)
    return await _entries(call, forward, rng, how)


def _some(count: int, rng: random.Random) -> set[int]:
    """Choose at least one of `count` numbers."""
    chosen = {number for number in range(count) if rng.random() < _FAILED_SHARE}
    return chosen or {rng.randrange(count)}


async def _statements(
    call: ProxiedCall, forward: Forward, rng: random.Random, how: Partly
) -> web.Response:
    """The answer to a statement has no id, so none can be omitted."""
    request = orjson.loads(call.body)
    statements = request["Statements"]
    bad = _some(len(statements), rng)
    if how is Partly.SKIPPED:
        kept = [number for number in range(len(statements)) if number not in bad]
        sent = {**request, "Statements": [statements[number] for number in kept]}
    else:
        kept = list(range(len(statements)))
        sent = request
    done: dict[int, Any] = {}
    if kept:
        answer = await forward(orjson.dumps(sent))
        if answer.status != 200:
            return answer
        done = dict(zip(kept, _body(answer)["Responses"], strict=True))
    failed = {"Error": {"Code": rng.choice(_STATEMENT_ERRORS), "Message": "injected"}}
    responses = [failed if number in bad else done[number] for number in range(len(statements))]
    return _json({"Responses": responses})


async def _unprocessed_keys(
    call: ProxiedCall, forward: Forward, rng: random.Random
) -> web.Response:
    answer = await forward()
    if answer.status != 200:
        return answer
    body = _body(answer)
    left: dict[str, Any] = {}
    for table, request in orjson.loads(call.body)["RequestItems"].items():
        keys = [request["Keys"][number] for number in _some(len(request["Keys"]), rng)]
        left[table] = {**request, "Keys": keys}
        body["Responses"][table] = [
            row
            for row in body["Responses"].get(table, [])
            if not any(key.items() <= row.items() for key in keys)
        ]
    return _json({**body, "UnprocessedKeys": left})


async def _entries(
    call: ProxiedCall, forward: Forward, rng: random.Random, how: Partly
) -> web.Response:
    """SQS's batches."""
    request = orjson.loads(call.body)
    entries = request["Entries"]
    bad = {entries[number]["Id"] for number in _some(len(entries), rng)}
    sent = [each for each in entries if how is not Partly.SKIPPED or each["Id"] not in bad]
    body: dict[str, Any] = {}
    if sent:
        answer = await forward(orjson.dumps({**request, "Entries": sent}))
        if answer.status != 200:
            return answer
        body = _body(answer)
    failed = [each for each in body.get("Failed", []) if each["Id"] not in bad]
    if how is not Partly.OMITTED:
        code = rng.choice(_ENTRY_ERRORS)
        failed += [{"Id": each, "Code": code, "SenderFault": False} for each in sorted(bad)]
    successful = [each for each in body.get("Successful", []) if each["Id"] not in bad]
    return _json({"Successful": successful, "Failed": failed})


async def _published(
    call: ProxiedCall, forward: Forward, rng: random.Random, how: Partly
) -> web.Response:
    """SNS's batch, in the Query protocol: each member of an entry is a parameter."""
    parameters = parse_qsl(call.body.decode(), keep_blank_values=True)
    ids = {
        found[1]: value
        for name, value in parameters
        if (found := _ENTRY.fullmatch(name)) and found[2] == "Id"
    }
    names = list(ids)
    bad = {names[number] for number in _some(len(names), rng)}
    sent = [name for name in names if how is not Partly.SKIPPED or name not in bad]
    if sent:
        answer = await forward(urlencode(_only(parameters, sent)).encode())
        if answer.status != 200:
            return answer
    parts = [
        f"<member><Id>{ids[name]}</Id><MessageId>1</MessageId></member>"
        for name in names
        if name not in bad
    ]
    failed = [
        f"<member><Id>{ids[name]}</Id><Code>InternalError</Code><SenderFault>false</SenderFault></member>"
        for name in sorted(bad)
        if how is not Partly.OMITTED
    ]
    result = f"<Successful>{''.join(parts)}</Successful><Failed>{''.join(failed)}</Failed>"
    body = f"<PublishBatchResponse><PublishBatchResult>{result}</PublishBatchResult></PublishBatchResponse>"
    return web.Response(text=body, content_type=_XML)


def _only(parameters: list[tuple[str, str]], entries: list[str]) -> list[tuple[str, str]]:
    """Keep the parameters of some entries, and number these from 1."""
    numbers = {entry: str(number) for number, entry in enumerate(entries, 1)}
    kept: list[tuple[str, str]] = []
    for name, value in parameters:
        found = _ENTRY.fullmatch(name)
        if found is None:
            kept.append((name, value))
        elif found[1] in numbers:
            kept.append(
                (f"PublishBatchRequestEntries.member.{numbers[found[1]]}.{found[2]}", value)
            )
    return kept


@dataclass(slots=True)
class Duplicates:
    """Disorders the messages of ReceiveMessage: some come twice in one answer, and some again in a later one."""

    rng: random.Random
    _kept: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    async def answer(self, call: ProxiedCall, forward: Forward) -> web.Response:
        answer = await forward()
        if answer.status != 200:
            return answer
        request, body = orjson.loads(call.body), _body(answer)
        queue, room = request["QueueUrl"], int(request.get("MaxNumberOfMessages", 1))
        received = list(body.get("Messages", []))
        messages = list(received)
        while received and len(messages) < room and self.rng.random() < 0.5:
            messages.append(self.rng.choice(received))
        messages += self._again(queue, room - len(messages))
        self._kept += [(queue, message) for message in received if self.rng.random() < 0.3]
        self.rng.shuffle(messages)
        return _json({**body, "Messages": messages} if messages else body)

    def _again(self, queue: str, room: int) -> list[dict[str, Any]]:
        """Return earlier messages of this queue."""
        chosen = [kept for kept in self._kept if kept[0] == queue and self.rng.random() < 0.4]
        for kept in chosen[:room]:
            self._kept.remove(kept)
        return [message for _, message in chosen[:room]]


def _body(answer: web.Response) -> dict[str, Any]:
    content: dict[str, Any] = orjson.loads(bytes(answer.body or b"{}"))  # type: ignore[arg-type]
    return content


def _json(body: object, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(body), status=status, content_type=_JSON)
