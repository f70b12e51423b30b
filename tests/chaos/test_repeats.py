"""Repeated submits are idempotent."""

import asyncio
import uuid

import grpc
import pytest
from aiohttp import web

from harness.aws import RecordingAws
from harness.aws_proxy import Forward, Hook, ProxiedCall, Unreachable, aws_proxy
from harness.origin import origin
from harness.stores import stores_of
from harness.system import system
from imageservice.v1 import image_service_pb2 as pb

SUBMITS, CALLERS, REPEATED = 300, 50, 3


async def test_many_submits_of_which_a_third_are_repeats(embedded_aws: RecordingAws) -> None:
    """Each distinct request has one row, one image, revision 2 and one notification id."""
    distinct = [str(uuid.uuid4()) for _ in range(SUBMITS * 2 // REPEATED)]
    repeats = distinct[: SUBMITS - len(distinct)]
    waiting = iter([*distinct, *repeats])
    async with (
        origin() as images,
        system(embedded_aws) as running,
        stores_of(running) as stores,
    ):
        await running.start_server()
        await running.start_consumer()
        url = {request_id: images.image_url(n) for n, request_id in enumerate(distinct)}
        async with running.stub() as stub:

            async def caller() -> None:
                for request_id in waiting:
                    request = pb.SubmitImageRequest(
                        url=url[request_id], customer_id="acme", request_id=request_id
                    )
                    answer = await stub.SubmitImage(request, timeout=30)
                    assert answer.request_id == request_id

            await asyncio.gather(*(caller() for _ in range(CALLERS)))
        await running.wait_terminal(distinct)
        await stores.prove_each_ended_once(distinct)


def lose_the_first_send() -> Hook:
    """SQS is unreachable for one call, after DynamoDB has accepted the insert."""
    # A call makes three tries.
    tries = iter(range(3))

    async def hook(call: ProxiedCall, forward: Forward) -> web.Response:
        if call.operation == "SendMessageBatch" and next(tries, None) is not None:
            raise Unreachable
        return await forward()

    return hook


async def test_a_submit_whose_send_failed_completes_when_it_is_repeated(
    embedded_aws: RecordingAws,
) -> None:
    """The retry with the same id sends the message, without reconcile."""
    request_id = str(uuid.uuid4())
    async with (
        origin() as images,
        aws_proxy(embedded_aws.endpoint) as proxy,
        system(embedded_aws, endpoint=proxy.endpoint) as running,
        stores_of(running) as stores,
    ):
        proxy.hook = lose_the_first_send()
        await running.start_server()
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await running.submit(images.image_url(1), request_id=request_id)
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        assert len(await stores.requests()) == 1
        assert await stores.depth(running.stack.queue_url) == 0
        await running.submit(images.image_url(1), request_id=request_id)
        await running.start_consumer()
        await running.wait_terminal([request_id])
        await stores.prove_each_ended_once([request_id])


async def test_a_used_id_with_another_url_or_customer_is_rejected(
    embedded_aws: RecordingAws,
) -> None:
    """An id belongs to one URL and one customer."""
    request_id = str(uuid.uuid4())
    async with origin() as images, system(embedded_aws) as running:
        await running.start_server()
        await running.submit(images.image_url(1), request_id=request_id)
        for url, customer in ((images.image_url(2), "acme"), (images.image_url(1), "other")):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await running.submit(url, request_id=request_id, customer=customer)
            assert refused.value.code() is grpc.StatusCode.ALREADY_EXISTS
