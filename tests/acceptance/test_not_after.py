"""A request whose URL expires ends EXPIRED, unless it was fetched before."""

import time

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from harness.aws import RecordingAws
from harness.command import imageservice
from harness.grpc_client import expect_refusal, outcome_name
from harness.origin import origin, reply_with
from harness.system import System, system
from imageservice.v1 import image_service_pb2 as pb

HOUR_S = 3_600
DAY = Duration(seconds=86_400)


def at(seconds: int) -> Timestamp:
    """The time in so many seconds from now."""
    return Timestamp(seconds=int(time.time()) + seconds)


async def test_a_time_in_the_past_sends_nothing_to_the_origin(running: System) -> None:
    """No attempt is counted. Without a limit, or with one in the future, the image is fetched."""
    async with origin() as images:
        past = await running.submit(images.image_url(1), not_after=at(-1))
        future = await running.submit(images.image_url(2), not_after=at(HOUR_S))
        ended = await running.wait_terminal([past, future])
    assert (outcome_name(ended[past]), ended[past].failure.attempts) == ("EXPIRED", 0)
    assert outcome_name(ended[future]) == "COMPLETED"
    assert images.hits["/n/1"] == 0


async def test_no_retry_waits_beyond_the_time(running: System) -> None:
    """The origin asks for a wait of 15 minutes, and the URL is valid for one: the caller need not wait for that."""
    async with origin() as images:
        images.serve("/busy", reply_with(status=503, headers={"Retry-After": "900"}))
        # Under a name of its own, because the answer closes the host for all tests.
        url = images.url("/busy", host="localhost")
        request_id = await running.submit(url, not_after=at(60))
        ended = await running.wait_terminal([request_id])
        assert images.hits["/busy"] == 1
    assert outcome_name(ended[request_id]) == "EXPIRED"


async def test_a_retried_request_keeps_its_time(embedded_aws: RecordingAws) -> None:
    """Its message is made from a record without the time, which is in the row."""
    async with system(embedded_aws) as started, origin() as images:
        await started.start_server()
        await started.start_consumer()
        request_id = await started.submit(images.image_url(3), not_after=at(-1))
        first = (await started.wait_terminal([request_id]))[request_id]
        assert await started.run_operator("retry-failed") == 0
        again = (await started.wait_terminal([request_id]))[request_id]
    assert [outcome_name(first), outcome_name(again)] == ["EXPIRED", "EXPIRED"]
    assert again.revision > first.revision
    assert images.hits["/n/3"] == 0


async def test_a_repeated_submit_with_another_time_is_refused(running: System) -> None:
    """The time is part of the content that an id was accepted with."""
    url, given = "http://127.0.0.1:1024/", at(-1)
    request_id = await running.submit(url, not_after=given)
    assert await running.submit(url, request_id=request_id, not_after=given) == request_id
    async with running.stub() as stub:
        for other in ({}, {"not_after": at(-2)}, {"not_after": given, "reuse_within": DAY}):
            message = pb.SubmitImageRequest(
                url=url, customer_id="acme", request_id=request_id, **other
            )
            assert (await expect_refusal(stub.SubmitImage(message))).reason == "REQUEST_ID_REUSED"


async def test_the_command_submits_a_time(running: System) -> None:
    """In ISO 8601. A text that is no time, or a span beyond the contract's, is refused before anything is sent."""
    async with origin() as images:
        submit = "submit", images.image_url(4), "--watch", "--json"
        ran = await imageservice(*submit, "--not-after", "2020-01-01", address=running.address)
        assert (ran.code, ran.objects[0]["failure_code"]) == (1, "EXPIRED")
        for wrong in (("--not-after", "soon"), ("--reuse-within", "0")):
            ran = await imageservice(*submit, *wrong, address=running.address)
            assert (ran.code, ran.out) == (2, "")
    assert images.hits["/n/4"] == 0
