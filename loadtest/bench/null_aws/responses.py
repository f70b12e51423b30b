"""Responses of the null AWS. Every call succeeds; ids of batch entries are copied from the request."""

import json
import re
from collections.abc import Iterable, Sequence

_STATEMENT = b'"Statement":'
_ENTRY_ID = re.compile(rb'"Id": ?"([^"]*)"')
_MEMBER_ID = re.compile(rb"\.Id=([^&]*)")
_ACTION = re.compile(rb"(?:^|&)Action=(\w+)")
_MESSAGE_ID = "00000000-0000-4000-8000-000000000000"
_MD5 = "d41d8cd98f00b204e9800998ecf8427e"
"""Clients check neither, but the response format requires both."""

QUEUE_ATTRIBUTES = {
    "VisibilityTimeout": "120",
    "MessageRetentionPeriod": "1209600",
    "ApproximateNumberOfMessages": "0",
    "ApproximateNumberOfMessagesNotVisible": "0",
    "ApproximateNumberOfMessagesDelayed": "0",
}


def response(body: str, *, kind: str = "application/json", status: str = "200 OK") -> bytes:
    """Return a complete HTTP response."""
    return (
        f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


STORED = b'HTTP/1.1 200 OK\r\nETag: "0"\r\nContent-Length: 0\r\n\r\n'
"""For PutObject."""
UNKNOWN = response('{"__type":"UnknownOperationException"}', status="400 Bad Request")
EMPTY = response("{}")
"""For the control endpoints."""


def sns_action(body: bytes) -> str:
    found = _ACTION.search(body)
    return found[1].decode() if found else ""


def statements(body: bytes) -> int:
    """Count the statements of a BatchExecuteStatement. Quotes inside parameters are escaped and do not match."""
    return body.count(_STATEMENT)


def entry_ids(body: bytes) -> Sequence[str]:
    """Return the entry ids of an SQS batch."""
    return [found.decode() for found in _ENTRY_ID.findall(body)]


def member_ids(body: bytes) -> Sequence[str]:
    """Return the entry ids of an SNS batch."""
    return [found.decode() for found in _MEMBER_ID.findall(body)]


def executed(count: int) -> bytes:
    """For BatchExecuteStatement."""
    return response(f'{{"Responses":[{",".join(["{}"] * count)}]}}')


def sent_batch(ids: Iterable[str]) -> bytes:
    entries = (
        f'{{"Id":"{each}","MessageId":"{_MESSAGE_ID}","MD5OfMessageBody":"{_MD5}"}}' for each in ids
    )
    return response(f'{{"Successful":[{",".join(entries)}],"Failed":[]}}')


def done_batch(ids: Iterable[str]) -> bytes:
    """For DeleteMessageBatch and ChangeMessageVisibilityBatch."""
    entries = ",".join(f'{{"Id":"{each}"}}' for each in ids)
    return response(f'{{"Successful":[{entries}],"Failed":[]}}')


def queue_attributes() -> bytes:
    return response(json.dumps({"Attributes": QUEUE_ATTRIBUTES}))


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
