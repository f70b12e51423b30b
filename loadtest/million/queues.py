"""How much waits in a queue."""

import aiohttp
from botocore.exceptions import BotoCoreError, ClientError

from loadtest.million.aws_access import AwsAccess
from loadtest.run_report.recorder import Depth


async def queue_depth(aws: AwsAccess, queue_url: str) -> Depth | None:
    """What waits in a queue, as far as SQS knows; None where it cannot be read just now."""
    names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
    try:
        answer = await aws.clients.wire.sqs.invoke(
            "GetQueueAttributes", {"QueueUrl": queue_url, "AttributeNames": names}
        )
    except (BotoCoreError, ClientError, aiohttp.ClientError, OSError, TimeoutError):
        return None
    return Depth(*(int(answer["Attributes"].get(name, 0)) for name in names))
