"""Unexpected errors in the consumer."""

from aiohttp import web

from harness.aws import RecordingAws
from harness.aws_proxy import Forward, Hook, ProxiedCall, aws_proxy
from harness.origin import origin
from harness.stores import stores_of
from harness.system import system

VISIBILITY_S = "6"
REJECTION = """<ErrorResponse><Error><Type>Sender</Type><Code>InvalidParameter</Code>
<Message>Invalid parameter</Message></Error><RequestId>1</RequestId></ErrorResponse>"""


def reject_the_first_notification() -> Hook:
    """SNS rejects one message as invalid."""
    rejections = iter(range(1))

    async def hook(call: ProxiedCall, forward: Forward) -> web.Response:
        if call.operation == "PublishBatch" and next(rejections, None) is not None:
            return web.Response(status=400, text=REJECTION, content_type="text/xml")
        return await forward()

    return hook


async def test_an_unexpected_error_abandons_one_message_and_no_other(
    embedded_aws: RecordingAws,
) -> None:
    """The message is received again after its visibility timeout, and the consumer continues."""
    async with (
        origin() as images,
        aws_proxy(embedded_aws.endpoint) as proxy,
        system(
            embedded_aws, endpoint=proxy.endpoint, VisibilityTimeoutSeconds=VISIBILITY_S
        ) as running,
        stores_of(running) as stores,
    ):
        await running.start_server()
        abandoned = await running.submit(images.image_url(1))
        proxy.hook = reject_the_first_notification()
        consumer = await running.start_consumer()
        await running.wait_terminal([abandoned])
        others = [await running.submit(images.image_url(n)) for n in range(2, 12)]
        await running.wait_terminal(others)
        await stores.prove_each_ended_once([abandoned, *others])
        assert consumer.returncode is None
        assert images.hits["/n/1"] == 1
