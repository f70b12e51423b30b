"""The answers of a faulty AWS: the entries that are done, and the entries that the answer names."""

import json
import random
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from aiohttp import web

from harness.aws_proxy import ProxiedCall
from robustness.faults import answers
from robustness.faults.answers import Duplicates, partial

SEEDS = range(40)


class Backend:
    """Answers a batch as AWS does when all entries succeed, and remembers what it was asked to do."""

    def __init__(self, answer: Callable[[bytes], bytes], body: bytes) -> None:
        self._answer = answer
        self._body = body
        self.asked: list[bytes] = []

    async def __call__(self, body: bytes | None = None) -> web.Response:
        sent = self._body if body is None else body
        self.asked.append(sent)
        return web.Response(body=self._answer(sent))


def all_sent(body: bytes) -> bytes:
    entries = json.loads(body)["Entries"]
    return json.dumps({"Successful": [{"Id": each["Id"]} for each in entries]}).encode()


def all_executed(body: bytes) -> bytes:
    statements = json.loads(body)["Statements"]
    return json.dumps({"Responses": [{"Item": each} for each in statements]}).encode()


def body_of(answer: web.Response) -> Any:
    assert isinstance(answer.body, bytes)
    return json.loads(answer.body)


async def test_an_entry_of_sqs_fails_in_three_ways() -> None:
    """Not done and reported, done and reported, or done and left out. Each happens, and no entry is named twice."""
    ids = [str(number) for number in range(10)]
    body = json.dumps({"QueueUrl": "q", "Entries": [{"Id": each} for each in ids]}).encode()
    seen: set[tuple[bool, bool]] = set()
    for seed in SEEDS:
        backend = Backend(all_sent, body)
        call = ProxiedCall("SendMessageBatch", body, "sqs")
        reported = body_of(await partial(call, backend, random.Random(seed)))
        done = {each["Id"] for sent in backend.asked for each in json.loads(sent)["Entries"]}
        failed = {each["Id"] for each in reported["Failed"]}
        successful = {each["Id"] for each in reported["Successful"]}
        assert successful < set(ids)
        assert not failed & successful
        seen.update((each in done, each in failed) for each in set(ids) - successful)
    assert seen == {(False, True), (True, True), (True, False)}


async def test_each_statement_has_a_response_in_its_place() -> None:
    statements = [{"Statement": str(number)} for number in range(8)]
    body = json.dumps({"Statements": statements}).encode()
    for seed in SEEDS:
        call = ProxiedCall("BatchExecuteStatement", body, "dynamodb")
        reported = body_of(await partial(call, Backend(all_executed, body), random.Random(seed)))
        assert len(reported["Responses"]) == len(statements)
        assert any("Error" in each for each in reported["Responses"])
        for statement, response in zip(statements, reported["Responses"], strict=True):
            assert "Error" in response or response["Item"] == statement


async def test_unprocessed_keys_are_not_among_the_rows() -> None:
    keys = [{"id": {"S": str(number)}} for number in range(6)]
    body = json.dumps({"RequestItems": {"t": {"Keys": keys}}}).encode()

    def found(_: bytes) -> bytes:
        rows = [{**key, "other": {"N": "1"}} for key in keys]
        return json.dumps({"Responses": {"t": rows}}).encode()

    call = ProxiedCall("BatchGetItem", body, "dynamodb")
    reported = body_of(await partial(call, Backend(found, body), random.Random(1)))
    left = reported["UnprocessedKeys"]["t"]["Keys"]
    rows = [{"id": row["id"]} for row in reported["Responses"]["t"]]
    assert left
    assert sorted(map(str, left + rows)) == sorted(map(str, keys))


async def test_skipped_notifications_are_not_published() -> None:
    prefix = "PublishBatchRequestEntries.member"
    parameters = [("Action", "PublishBatch")]
    for number in range(1, 6):
        parameters += [(f"{prefix}.{number}.Id", f"n{number}"), (f"{prefix}.{number}.Message", "m")]
    body = urlencode(parameters).encode()
    published: set[int] = set()
    for seed in SEEDS:
        backend = Backend(lambda _: b"<ok/>", body)
        call = ProxiedCall("PublishBatch", body, "sns")
        answer = await partial(call, backend, random.Random(seed))
        assert answer.text is not None
        assert "<Successful>" in answer.text
        published.update(sent.count(b".Message=") for sent in backend.asked)
    assert max(published) == 5
    assert min(published) < 5


async def test_messages_come_twice_and_again_later() -> None:
    body = json.dumps({"QueueUrl": "q", "MaxNumberOfMessages": 10}).encode()
    call = ProxiedCall("ReceiveMessage", body, "sqs")
    duplicates = Duplicates(random.Random(1))
    received: list[str] = []
    for number in range(60):
        messages = [{"MessageId": f"{number}-{each}"} for each in range(4)]
        answer = json.dumps({"Messages": messages}).encode()
        reported = body_of(await duplicates.answer(call, Backend(lambda _, a=answer: a, body)))  # type: ignore[misc]
        assert 4 <= len(reported["Messages"]) <= 10
        received += [each["MessageId"] for each in reported["Messages"]]
    assert len(set(received)) == 240
    assert len(received) > 260
    rounds = [int(each.partition("-")[0]) for each in received]
    assert rounds != sorted(rounds)


@pytest.mark.parametrize("service", ["dynamodb", "sqs", "sns", "s3", "monitoring"])
def test_an_error_and_a_throttle_have_a_status_of_their_kind(service: str) -> None:
    call = ProxiedCall("any", b"", service)
    assert answers.error(call, random.Random(1)).status in {500, 502, 503}
    assert answers.throttled(call).status in {400, 503}
