"""Receives messages of the queue of requests."""

from types_aiobotocore_sqs import SQSClient

from core.model.message import ImageMessage, decode_message


async def take(sqs: SQSClient, queue_url: str, count: int) -> list[ImageMessage]:
    """Receive and delete `count` messages. The queue must not have more. Each must be in its customer's group."""
    taken: list[ImageMessage] = []
    while len(taken) < count:
        taken += await _receive(sqs, queue_url, wait=20)
    assert taken[count:] + await _receive(sqs, queue_url, wait=0) == []
    return taken


async def _receive(sqs: SQSClient, queue_url: str, wait: int) -> list[ImageMessage]:
    answer = await sqs.receive_message(
        QueueUrl=queue_url,
        MaxNumberOfMessages=10,
        WaitTimeSeconds=wait,
        MessageSystemAttributeNames=["MessageGroupId"],
    )
    received = answer.get("Messages", [])
    for message in received:
        await sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
    messages = [decode_message(message["Body"]) for message in received]
    groups = [message["Attributes"]["MessageGroupId"] for message in received]
    assert groups == [message.customer_id for message in messages]
    return messages
