"""What the null AWS answers: everything succeeds. Pure; ids of batch entries are read from the request."""

import json
import re
from collections.abc import Iterable, Sequence

_STATEMENT = b'"Statement":'
_ENTRY_ID = re.compile(rb'"Id": ?"([^"]*)"')
_MEMBER_ID = re.compile(rb"\.Id=([^&]*)")
_ACTION = re.compile(rb"(?:^|&)Action=(\w+)")
_MESSAGE_ID = "00000000-0000-4000-8000-000000000000"
_MD5 = "d41d8cd98f00b204e9800998ecf8427e"
"""The SDK checks neither; they are there because the answer's form has them."""

QUEUE_ATTRIBUTES = {
    "VisibilityTimeout": "120",
    "MessageRetentionPeriod": "1209600",
    "ApproximateNumberOfMessages": "0",
    "ApproximateNumberOfMessagesNotVisible": "0",
    "ApproximateNumberOfMessagesDelayed": "0",
}


def response(body: str, *, kind: str = "application/json", status: str = "200 OK") -> bytes:
    """A whole HTTP response."""
    return (
        f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


STORED = b'HTTP/1.1 200 OK\r\nETag: "0"\r\nContent-Length: 0\r\n\r\n'
"""Of S3, for PutObject and HeadObject."""
UNKNOWN = response('{"__type":"UnknownOperationException"}', status="400 Bad Request")
EMPTY = response("{}")


def sns_action(body: bytes) -> str:
    found = _ACTION.search(body)
    return found[1].decode() if found else ""


def statements(body: bytes) -> int:
    """How many statements a BatchExecuteStatement holds. A quote inside a parameter is escaped, so none is counted."""
    return body.count(_STATEMENT)


def entry_ids(body: bytes) -> Sequence[str]:
    """Of an SQS batch."""
    return [found.decode() for found in _ENTRY_ID.findall(body)]


def member_ids(body: bytes) -> Sequence[str]:
    """Of an SNS batch."""
    return [found.decode() for found in _MEMBER_ID.findall(body)]


def executed(count: int) -> bytes:
    """Of BatchExecuteStatement."""
    return response(f'{{"Responses":[{",".join(["{}"] * count)}]}}')


def sent() -> bytes:
    """Of SendMessage."""
    return response(f'{{"MessageId":"{_MESSAGE_ID}","MD5OfMessageBody":"{_MD5}"}}')


def sent_batch(ids: Iterable[str]) -> bytes:
    entries = (
        f'{{"Id":"{each}","MessageId":"{_MESSAGE_ID}","MD5OfMessageBody":"{_MD5}"}}' for each in ids
    )
    return response(f'{{"Successful":[{",".join(entries)}],"Failed":[]}}')


def done_batch(ids: Iterable[str]) -> bytes:
    """Of DeleteMessageBatch and ChangeMessageVisibilityBatch."""
    entries = ",".join(f'{{"Id":"{each}"}}' for each in ids)
    return response(f'{{"Successful":[{entries}],"Failed":[]}}')


def queue_attributes() -> bytes:
    return response(json.dumps({"Attributes": QUEUE_ATTRIBUTES}))


def published() -> bytes:
    return _xml("Publish", f"<MessageId>{_MESSAGE_ID}</MessageId>")


def published_batch(ids: Iterable[str]) -> bytes:
    members = "".join(
        f"<member><MessageId>{_MESSAGE_ID}</MessageId><Id>{each}</Id></member>" for each in ids
    )
    return _xml("PublishBatch", f"<Failed/><Successful>{members}</Successful>")


def _xml(action: str, result: str) -> bytes:
    return response(
        f'<{action}Response xmlns="http://sns.amazonaws.com/doc/2010-03-31/">'
        f"<{action}Result>{result}</{action}Result>"
        f"<ResponseMetadata><RequestId>{_MESSAGE_ID}</RequestId></ResponseMetadata>"
        f"</{action}Response>",
        kind="text/xml",
    )
