"""What an answer that is no success means, in the SDK's words."""

import re
from collections.abc import Mapping
from typing import Any

import orjson
from botocore.exceptions import ClientError

_OK = 200

# The SDK's standard retry mode ("Retry behavior", AWS SDKs and Tools Reference Guide).
_RETRIED_STATUSES = frozenset({500, 502, 503, 504})
_THROTTLES = frozenset(
    {
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "LimitExceededException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
    }
)
_TRANSIENT_CODES = frozenset({"RequestTimeout", "RequestTimeoutException"})


class Retryable(ClientError):
    """The same request may succeed in a moment: a fault of the service's own, or its subclass."""


class Throttled(Retryable):
    """There were too many requests."""


def raise_for_json(operation: str, status: int, headers: Mapping[str, str], body: bytes) -> None:
    """Raise the ClientError of an AWS JSON answer; nothing on success."""
    if status == _OK:
        return
    try:
        fault = orjson.loads(body)
    except orjson.JSONDecodeError:
        fault = {}
    if not isinstance(fault, dict):
        fault = {}
    # SQS keeps the codes of its older protocol in a header of its own, as "code;Sender".
    code = headers.get("x-amzn-query-error", "").partition(";")[0] or _short(
        str(fault.get("__type") or fault.get("code") or status)
    )
    message = fault.get("message", fault.get("Message", ""))
    _raise(operation, status, code, str(message))


def raise_for_xml(operation: str, status: int, body: bytes) -> None:
    """Raise the ClientError of an S3 answer; nothing on success."""
    if status != _OK:
        text = body.decode(errors="replace")
        _raise(operation, status, _element("Code", text) or str(status), _element("Message", text))


def _raise(operation: str, status: int, code: str, message: str) -> None:
    response: Any = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    if code in _THROTTLES:
        raise Throttled(response, operation)
    if status in _RETRIED_STATUSES or code in _TRANSIENT_CODES:
        raise Retryable(response, operation)
    raise ClientError(response, operation)


def _short(code: str) -> str:
    """`com.amazonaws.dynamodb.v20120810#ValidationException:https://…` is ValidationException."""
    return code.partition(":")[0].rpartition("#")[2]


def _element(name: str, text: str) -> str:
    # S3's error document is flat, and only ever read for a message.
    found = re.search(f"<{name}>([^<]*)</{name}>", text)
    return found[1] if found else ""
