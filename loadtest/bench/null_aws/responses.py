"""Responses of the null AWS. Every call succeeds; ids of batch entries are copied from the request.

The SDK for Go verifies the MD5 of SQS's messages and the CRC-32 of DynamoDB's answers, so both are right.
"""

import hashlib
import json
import re
import zlib
from collections.abc import Iterable, Sequence

_STATEMENT = b'"Statement":'
_RESENT = rb"\"resent\":true"
"""In a body of SQS, whose messages are JSON in a string of JSON."""
_ENTRY_ID = re.compile(rb'"Id": ?"([^"]*)"')
_MEMBER_ID = re.compile(rb"\.Id=([^&]*)")
_ACTION = re.compile(rb"(?:^|&)Action=(\w+)")
_MESSAGE_ID = "00000000-0000-4000-8000-000000000000"

QUEUE_ATTRIBUTES = {
    "VisibilityTimeout": "120",
    "MessageRetentionPeriod": "1209600",
    "ApproximateNumberOfMessages": "0",
    "ApproximateNumberOfMessagesNotVisible": "0",
    "ApproximateNumberOfMessagesDelayed": "0",
}


def response(
    body: str, *, kind: str = "application/json", status: str = "200 OK", fields: str = ""
) -> bytes:
    """Return a complete HTTP response. `fields` are further header lines, each with its line end."""
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{fields}\r\n"
    )
    return (head + body).encode()


def dynamodb_response(body: str) -> bytes:
    return response(body, fields=f"X-Amz-Crc32: {zlib.crc32(body.encode())}\r\n")


def md5_of(text: str) -> str:
    """Return the digest that SQS sends with a message of this text."""
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


STORED = b'HTTP/1.1 200 OK\r\nETag: "0"\r\nContent-Length: 0\r\n\r\n'
"""For PutObject."""
ROW_WRITTEN = dynamodb_response("{}")
"""For PutItem and UpdateItem."""
UNKNOWN = response('{"__type":"UnknownOperationException"}', status="400 Bad Request")
EMPTY = response("{}")
"""For the control endpoints."""


def sns_action(body: bytes) -> str:
    found = _ACTION.search(body)
    return found[1].decode() if found else ""


def statements(body: bytes) -> int:
    """Count the statements of a BatchExecuteStatement. Quotes inside parameters are escaped and do not match."""
    return body.count(_STATEMENT)


def is_resent(body: bytes) -> bool:
    """Return whether a send has a message that was sent before (ImageMessage.resent)."""
    return _RESENT in body


def entry_ids(body: bytes) -> Sequence[str]:
    """Return the entry ids of an SQS batch."""
    return [found.decode() for found in _ENTRY_ID.findall(body)]


def member_ids(body: bytes) -> Sequence[str]:
    """Return the entry ids of an SNS batch."""
    return [found.decode() for found in _MEMBER_ID.findall(body)]


def executed(count: int) -> bytes:
    """For BatchExecuteStatement."""
    return dynamodb_response(f'{{"Responses":[{",".join(["{}"] * count)}]}}')


def sent_batch(body: bytes) -> tuple[int, bytes]:
    """Return the number of messages in a SendMessageBatch, and its response."""
    entries = json.loads(body)["Entries"]
    sent = [{"Id": entry["Id"], **_receipt(entry["MessageBody"])} for entry in entries]
    return len(sent), response(json.dumps({"Successful": sent, "Failed": []}))


def sent(body: bytes) -> bytes:
    """For SendMessage."""
    return response(json.dumps(_receipt(json.loads(body)["MessageBody"])))


def _receipt(message: str) -> dict[str, str]:
    return {"MessageId": _MESSAGE_ID, "MD5OfMessageBody": md5_of(message)}


def done_batch(ids: Iterable[str]) -> bytes:
    """For DeleteMessageBatch and ChangeMessageVisibilityBatch."""
    entries = ",".join(f'{{"Id":"{each}"}}' for each in ids)
    return response(f'{{"Successful":[{entries}],"Failed":[]}}')


def queue_attributes() -> bytes:
    return response(json.dumps({"Attributes": QUEUE_ATTRIBUTES}))


def published() -> bytes:
    """For Publish."""
    return response(
        '<PublishResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/">'
        f"<PublishResult><MessageId>{_MESSAGE_ID}</MessageId></PublishResult>"
        f"<ResponseMetadata><RequestId>{_MESSAGE_ID}</RequestId></ResponseMetadata>"
        "</PublishResponse>",
        kind="text/xml",
    )


def published_batch(ids: Iterable[str]) -> bytes:
    members = "".join(
        f"<member><MessageId>{_MESSAGE_ID}</MessageId><Id>{each}</Id></member>" for each in ids
    )
    return response(
        '<PublishBatchResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/">'
        f"<PublishBatchResult><Failed/><Successful>{members}</Successful></PublishBatchResult>"
        f"<ResponseMetadata><RequestId>{_MESSAGE_ID}</RequestId></ResponseMetadata>"
        "</PublishBatchResponse>",
        kind="text/xml",
    )
