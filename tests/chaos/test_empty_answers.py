"""AWS answers 200 with `{}`, as a broken gateway does. That is an outage, never a fault of an image or a request."""

from collections import Counter
from collections.abc import Callable

import grpc
import pytest
from aiohttp import web

from harness.aws import RecordingAws
from harness.aws_proxy import Forward, ProxiedCall, aws_proxy, pass_on
from harness.grpc_client import expect_refusal
from harness.metrics import MetricsPort
from harness.origin import origin
from harness.stores import stores_of
from harness.system import system
from harness.waiting import wait_for

IMAGES = 2
EMPTY_ANSWERS = 3
"""As many as a request has attempts."""


class EmptyAnswers:
    """Answers `{}` to the first `count` calls that match, and passes on all others."""

    def __init__(self, matches: Callable[[ProxiedCall], bool], count: int) -> None:
        self._matches = matches
        self._count = count
        self.given = 0

    async def hook(self, call: ProxiedCall, forward: Forward) -> web.Response:
        if self.given == self._count or not self._matches(call):
            return await forward()
        self.given += 1
        return web.json_response({})


def insert_into(table: str) -> Callable[[ProxiedCall], bool]:
    """Match a batch with an insert into this table."""
    text = f'INSERT INTO \\"{table}\\"'.encode()
    return lambda call: call.operation == "BatchExecuteStatement" and text in call.body


async def test_empty_answers_to_the_insert_of_an_image_fail_nothing(
    embedded_aws: RecordingAws,
) -> None:
    """The image ends COMPLETED after the answers, and not INTERNAL."""
    async with (
        origin() as images,
        aws_proxy(embedded_aws.endpoint) as proxy,
        system(embedded_aws, endpoint=proxy.endpoint) as running,
        stores_of(running) as stores,
    ):
        await running.start_server()
        empty = EmptyAnswers(insert_into(running.stack.images_table), EMPTY_ANSWERS)
        proxy.hook = empty.hook
        await running.start_consumer()
        request_id = await running.submit(images.image_url(1))
        await running.wait_terminal([request_id])
        assert empty.given == EMPTY_ANSWERS
        await stores.prove_each_ended_once([request_id])


@pytest.mark.parametrize("operation", ["BatchExecuteStatement", "SendMessageBatch"])
async def test_a_submit_that_meets_an_empty_answer_may_be_repeated(
    operation: str, embedded_aws: RecordingAws
) -> None:
    """The caller gets UNAVAILABLE with a reason and a delay. The same submit then succeeds."""
    async with (
        origin() as images,
        aws_proxy(embedded_aws.endpoint) as proxy,
        system(embedded_aws, endpoint=proxy.endpoint) as running,
    ):
        await running.start_server()
        empty = EmptyAnswers(lambda call: call.operation == operation, 1)
        proxy.hook = empty.hook
        request_id = "6f3c2f0e-58a5-4b53-9d27-6a6d3d0f6a11"
        refused = await expect_refusal(running.submit(images.image_url(1), request_id=request_id))
        assert (refused.code, refused.reason) == (
            grpc.StatusCode.UNAVAILABLE,
            "DEPENDENCY_UNAVAILABLE",
        )
        assert refused.retry_after
        assert await running.submit(images.image_url(1), request_id=request_id) == request_id


@pytest.mark.parametrize(
    "operation", ["BatchExecuteStatement", "PUT", "PublishBatch", "DeleteMessageBatch"]
)
async def test_an_operation_that_gives_only_empty_answers_is_an_outage(
    operation: str, embedded_aws: RecordingAws
) -> None:
    """Receiving stops, messages are requeued, and no request fails. Afterwards each request ends once."""
    port = MetricsPort()
    async with (
        origin() as images,
        aws_proxy(embedded_aws.endpoint) as proxy,
        system(embedded_aws, endpoint=proxy.endpoint) as running,
        stores_of(running) as stores,
    ):
        await running.start_server()
        ids = [await running.submit(images.image_url(number)) for number in range(IMAGES)]
        empty = EmptyAnswers(lambda call: call.operation == operation, -1)
        proxy.hook = empty.hook
        await running.start_consumer(**port.settings)
        await port.until(lambda page: page.value("consumer_outage") == 1)
        await wait_for(lambda: empty.given > EMPTY_ANSWERS * IMAGES, "empty answers")
        assert "FAILED" not in Counter(row["status"]["S"] for row in await stores.requests())
        proxy.hook = pass_on
        await running.wait_terminal(ids)
        await stores.prove_each_ended_once(ids)
